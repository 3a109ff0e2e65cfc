//! Wording of the billing desk: disputes, reminders and refunds, which are easily confused.

use super::{CategorySpec, Topic};

pub const INVOICE_DISPUTE: CategorySpec = CategorySpec {
    name: "invoice-dispute",
    description: "The customer says that an invoice or a charge is wrong and asks to have it \
                  corrected.",
    queue: "billing-disputes",
    weight: 11,
    family: "billing",
    sisters: &["payment-reminder", "refund-request"],
    topics: &[
        Topic {
            name: "double-charge",
            subjects: &[
                "[charged|billed] twice for {month}",
                "duplicate [charge|debit] on {product} policy",
                "same invoice booked two times",
            ],
            lines: &[
                "[I was|We were|You have] [charged|billed] [twice|two times] for the {month} \
                 premium of the {product} policy.",
                "My statement shows the same debit of {amount} [on {date} and again three days \
                 later|twice within one week].",
                "Invoice {invoice} and the one before it cover [exactly the same|an overlapping] \
                 period, so one of them must be a duplicate.",
                "I see two [identical|matching] bookings of {amount} and only one of them can be \
                 [right|correct].",
                "[It looks as if|I believe] the {month} instalment was [booked|invoiced] a second \
                 time after the [renewal|system change].",
                "The duplicate [entry|charge] is still on the account although I [reported|pointed \
                 out] the double booking on {date}.",
                "Two direct debits of {amount} went through for one and the same \
                 [instalment|quarter].",
                "On page [two|three] of the statement the {product} premium appears once more, as \
                 if it had not been billed before.",
            ],
        },
        Topic {
            name: "wrong-amount",
            subjects: &[
                "invoice {invoice} is wrong",
                "premium [higher|steeper] than agreed",
                "[incorrect|wrong] amount invoiced for {product}",
            ],
            lines: &[
                "Invoice {invoice} states {amount}, but the [premium|rate] we agreed on was \
                 {amount}.",
                "The [no-claims discount|loyalty discount|bundle rebate] is missing from the \
                 [calculation|invoice] and the total is too high.",
                "You [applied|used] the tariff for [business|commercial] use although the \
                 {product} policy is for private use only.",
                "The increase of [nine|twelve|eighteen|twenty-one] per cent was never \
                 [announced|explained] and I do not accept this invoice.",
                "The insurance tax on invoice {invoice} is [calculated|worked out] on the wrong \
                 base.",
                "According to my [own figures|contract] the correct annual amount [would be|is] \
                 {amount}, not what you invoiced.",
                "We agreed on a premium without [surcharge|instalment fee], yet the invoice lists \
                 one of {amount}.",
                "The [tax|discount] line on {invoice} does not add up and the sum is [off|wrong] \
                 by {amount}.",
            ],
        },
        Topic {
            name: "not-my-invoice",
            subjects: &[
                "invoice for a policy I never had",
                "invoice addressed to [wrong person|somebody else]",
                "[billed|invoice] for an unknown contract",
            ],
            lines: &[
                "I received invoice {invoice} for a {product} policy that I [never signed|do not \
                 own|have never heard of].",
                "The invoice [names|is made out to] {name}, who [does not live here|is unknown at \
                 this address].",
                "We [never ordered|did not take out] the [glass cover|legal expenses \
                 rider|breakdown add-on] that appears as item two on the invoice.",
                "The vehicle [listed|shown] on the invoice is not [mine|ours], the registration is \
                 wrong as well.",
                "Somebody must have mixed up two customers, the [contract number|policyholder] on \
                 the invoice is not mine.",
                "I contest this [invoice|charge] in full because there is no contract between us \
                 for that [risk|object].",
                "The contract behind invoice {invoice} was [ended|sold] before the billed period \
                 [began|started], so I owe nothing.",
                "Neither the name nor the object on {invoice} has anything to do with me.",
            ],
        },
    ],
    asks: &[
        "Please [correct|review] the invoice and send me a [new|proper] one.",
        "Kindly check the [booking|calculation] and confirm in writing that the charge [was \
         wrong|is void].",
        "I [dispute|contest] this charge until it has been [explained|corrected].",
        "Please issue a corrected invoice.",
    ],
};

pub const PAYMENT_REMINDER: CategorySpec = CategorySpec {
    name: "payment-reminder",
    description: "About an overdue premium: reminders, late fees, payment plans, proof that it was \
                  paid.",
    queue: "collections",
    weight: 9,
    family: "billing",
    sisters: &["invoice-dispute", "refund-request"],
    topics: &[
        Topic {
            name: "already-paid",
            subjects: &[
                "reminder although [paid|already settled]",
                "proof of payment for {invoice}",
                "your [second|final] reminder of {date}",
            ],
            lines: &[
                "I got your [second|final|latest] reminder although the transfer of {amount} left \
                 my account on {date}.",
                "Attached is the [bank receipt|proof of payment|transfer slip] for the overdue \
                 instalment.",
                "The [outstanding|overdue] sum was [settled|paid] [last week|on {date}], so the \
                 dunning letter must have crossed with my transfer.",
                "My bank confirms that the payment [arrived|was credited] before the [deadline|due \
                 date] in your reminder.",
                "Perhaps the [reference|purpose] line was missing and the payment could not be \
                 [matched|assigned] to the arrears.",
                "Please stop the [reminders|dunning letters], nothing is overdue any more.",
                "I [find|found] it odd to be dunned for {amount} that was debited in {month}.",
                "The arrears you [list|mention] were paid at the [counter|bank] on {date}, see the \
                 stamped slip.",
            ],
        },
        Topic {
            name: "payment-plan",
            subjects: &[
                "[instalments|payment plan] for overdue premium",
                "more time to pay {amount}",
                "request to [defer|postpone] payment",
            ],
            lines: &[
                "I am [unable|not able] to pay the overdue {amount} [at once|in one go] and \
                 [ask|would like to ask] for a payment plan.",
                "Would it be possible to [split|spread] the arrears over [three|four|six] monthly \
                 instalments?",
                "I have [lost my job|been on sick leave|had my hours cut] and need [more time|a \
                 deferral] until {month}.",
                "[We|I] can pay {amount} now and the [rest|remainder] at the end of {month}.",
                "Please [extend|move] the payment deadline so that the {product} cover does not \
                 lapse.",
                "I know the premium has been overdue since {month} and I want to [settle|clear] it \
                 step by step.",
                "Until my [pension|benefit|insolvency plan] is decided I can only pay a little of \
                 the arrears each month.",
                "A [rate|payment plan] of {amount} a month would let me work off what is overdue.",
            ],
        },
        Topic {
            name: "late-fee",
            subjects: &[
                "late fee on [reminder|dunning letter]",
                "direct debit [returned|bounced] in {month}",
                "overdue notice and [fee|interest]",
            ],
            lines: &[
                "The direct debit [bounced|was returned] because my [account|bank card] had been \
                 [blocked|replaced], hence the missed payment.",
                "Your reminder adds a late fee of {amount} that I find [too high|out of \
                 proportion].",
                "[Which|What] account should I use to settle the arrears and the late \
                 [fee|interest]?",
                "The [collection agency|debt collector] wrote to me about the overdue {product} \
                 premium before I had seen any reminder.",
                "Please [waive|drop] the dunning fee, it is the first time that I [missed|am late \
                 with] a payment.",
                "The mandate for the direct debit is [active|valid] again, so please collect the \
                 overdue amount [once more|a second time].",
                "There was not enough money on the account, so the debit came back and a fee was \
                 added.",
                "You threaten to [suspend|end] cover for the sake of an overdue [rest|remainder] \
                 of {amount}.",
            ],
        },
    ],
    asks: &[
        "Please confirm that the account is [settled|balanced] and that the reminder is void.",
        "Please let me know the [new deadline|amount still due].",
        "I ask you to [hold|suspend] any further [reminder|collection] until this is cleared.",
        "Please tell me how and by when I should pay.",
    ],
};

pub const REFUND_REQUEST: CategorySpec = CategorySpec {
    name: "refund-request",
    description: "The customer asks for money back: overpaid or unused premium, credit balance.",
    queue: "billing-refunds",
    weight: 9,
    family: "billing",
    sisters: &["invoice-dispute", "payment-reminder"],
    topics: &[
        Topic {
            name: "overpaid",
            subjects: &[
                "[overpaid|paid too much], please [refund|return]",
                "refund of [credit balance|overpayment]",
                "money back for {month}",
            ],
            lines: &[
                "I [transferred|sent] {amount} by mistake and would like to have the \
                 [difference|surplus] back.",
                "There is a credit balance of {amount} on my customer account that should be [paid \
                 out|refunded].",
                "My standing order kept [running|paying] after the {product} policy had ended, \
                 please return what was overpaid.",
                "I typed the wrong amount and overpaid by {amount}.",
                "Both my [husband|wife|employer] and I paid the {month} premium, so one payment \
                 should come back.",
                "The overpayment from {month} has not been [returned|refunded] to my bank account \
                 yet.",
                "I paid the yearly sum and the monthly rates on top, so [some|a lot of it] has to \
                 be returned.",
                "Please [clear|empty] the credit on my account and send the surplus of {amount}.",
            ],
        },
        Topic {
            name: "unused-premium",
            subjects: &[
                "refund of unused {product} premium",
                "[pro rata|partial] refund after [sale|end of policy]",
                "premium refund {policy}",
            ],
            lines: &[
                "The policy ended on {date} but I had paid [in advance|for the whole year], so the \
                 unused part of the premium is due to me.",
                "Please [reimburse|refund] the premium for the months after the \
                 [sale|scrapping|deregistration].",
                "By my count [seven|five|nine] months of unused premium, {amount}, [are|should be] \
                 refundable.",
                "The trip was called off before cover began and I [ask for|expect] my travel \
                 premium back.",
                "I [was promised|am owed] a pro rata refund when the {product} policy was \
                 [closed|ended early].",
                "The car has been laid up since {month}, so I should get [part|a share] of the \
                 premium back.",
                "For the time after the [transfer|sale] to the new owner I am owed the rest of the \
                 premium.",
                "The cover stopped in {month} yet I was paid up until the next {month}, so please \
                 return the difference.",
            ],
        },
        Topic {
            name: "refund-missing",
            subjects: &[
                "where is my refund",
                "refund [not received|still missing]",
                "[bank details|IBAN] for the refund",
            ],
            lines: &[
                "You [promised|announced] a refund of {amount} on {date} and it has not \
                 [arrived|been paid] so far.",
                "The refund went to an [old|closed] bank account, please send it again to the IBAN \
                 below.",
                "My bank cannot find any incoming refund [from you|under that reference].",
                "Here are my bank details for the [refund|pay-out]: {iban}.",
                "A [cheque|check] is of no use to me, please [transfer|wire] the reimbursement \
                 instead.",
                "It has been [five|six|eight] weeks and I am still waiting for my money back.",
                "The [letter|message] of {date} says the reimbursement was sent, my account says \
                 otherwise.",
                "Please trace the refund of {amount}, it seems to have gone [astray|missing].",
            ],
        },
    ],
    asks: &[
        "Please [refund|return] the money to [my|the usual] account.",
        "When can I expect the [refund|reimbursement]?",
        "Please pay the amount back [within fourteen days|soon|by {date}].",
        "I would like my money back.",
    ],
};
