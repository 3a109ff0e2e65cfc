//! Wording around the customer as a person: contact data, privacy, complaints, legal letters.

use super::{CategorySpec, Topic};

pub const CONTACT_UPDATE: CategorySpec = CategorySpec {
    name: "contact-update",
    description: "New address, name, telephone, e-mail or bank details of a customer.",
    queue: "customer-data",
    weight: 9,
    family: "customer-data",
    sisters: &["policy-change", "data-protection"],
    topics: &[
        Topic {
            name: "moving",
            subjects: &[
                "new address from {date}",
                "we [are moving|have moved] to {city}",
                "change of address {policy}",
            ],
            lines: &[
                "We [are moving|have moved] on {date}, the new address is {street}, {city}.",
                "Please [note|update] my new postal address for all [letters|policies].",
                "The post [office|service] forwards our mail only until {month}.",
                "My old address in {city} is no longer [valid|in use].",
                "Letters should [from now on|in future] go to {street}.",
                "Our firm has moved its [office|head office] to {city}.",
                "From {month} on you will find us at {street}, {city}.",
                "Post for my [mother|father] should come to my address, {street}.",
            ],
        },
        Topic {
            name: "bank-details",
            subjects: &[
                "new bank details",
                "change of [account|IBAN] for direct debit",
                "new IBAN {iban}",
            ],
            lines: &[
                "My bank account has changed, the new IBAN is {iban}.",
                "Please use the new [account|bank details] for the direct debit from {month} on.",
                "We have changed banks, the old account [is closed|closes on {date}].",
                "Enclosed is the signed direct debit mandate for the new [account|IBAN].",
                "The account holder is now {name}.",
                "Please [delete|replace] the old bank details in my customer record.",
                "Premiums and payouts should in future go through the account {iban}.",
                "After the bank merger all my [sort codes|account numbers] are different, see \
                 below.",
            ],
        },
        Topic {
            name: "name-and-phone",
            subjects: &[
                "[married|divorced], new surname",
                "new [mobile|telephone] number",
                "new e-mail address",
            ],
            lines: &[
                "I got [married|divorced] on {date} and my surname is now {surname}.",
                "My new [mobile|telephone] number is {phone}.",
                "Please send mail to my new e-mail address, the old [mailbox|provider] no longer \
                 exists.",
                "My name is misspelt in your letters, it is written {name}.",
                "Please [list|enter] my [daughter|son] {name} as a further contact person.",
                "I cannot log in to the portal because the code goes to my old [number|phone].",
                "You can delete the landline, only the mobile {phone} is still in use.",
                "My [title|first name] is wrong in your records, I am {name}.",
            ],
        },
    ],
    asks: &[
        "Please update my [details|customer record].",
        "Please confirm that the new details have been [saved|entered].",
        "Please change this for all my contracts.",
        "Thank you for [correcting|updating] the record.",
    ],
};

pub const DATA_PROTECTION: CategorySpec = CategorySpec {
    name: "data-protection",
    description: "Requests and reports under data protection law: access, erasure, consent, leaks.",
    queue: "privacy-office",
    weight: 5,
    family: "customer-data",
    sisters: &["contact-update", "complaint"],
    topics: &[
        Topic {
            name: "access",
            subjects: &[
                "[access request|copy of my data]",
                "what data do you [hold|store] on me",
                "request under article 15",
            ],
            lines: &[
                "Under article 15 of the data protection regulation I ask for a copy of all \
                 personal data you [hold|store] about me.",
                "To whom have you [passed|disclosed] my personal data, and for what purpose?",
                "Please also send the recordings of my [telephone|hotline] calls.",
                "I want to know which [score|rating] was used and from which credit bureau it \
                 [came|was obtained].",
                "You have one month to [answer|comply with] this request for information.",
                "Please supply my data in a [machine-readable|common] format.",
                "Please disclose where you got my [number|address] and how long it will be kept.",
                "I demand to see the [notes|profile] that your systems keep about me.",
            ],
        },
        Topic {
            name: "erasure",
            subjects: &[
                "[delete|erase] my data",
                "consent withdrawn",
                "no more [advertising|newsletters]",
            ],
            lines: &[
                "Please [erase|delete] all my personal data, I am no longer a customer.",
                "I withdraw my consent to [advertising|the sharing of my data] with immediate \
                 effect.",
                "I object to the use of my data for [marketing|profiling].",
                "Please take my [number|e-mail address] off every mailing list.",
                "My online account should be deleted [together with|including] all stored \
                 documents.",
                "I never agreed to [the newsletter|phone advertising], where did you get my data?",
                "Stop [processing|using] my data for anything but the contract.",
                "My application was turned down, so there is no reason to keep my [health \
                 data|documents].",
            ],
        },
        Topic {
            name: "leak",
            subjects: &[
                "[letter|e-mail] of another customer",
                "possible data leak",
                "documents sent to wrong [person|address]",
            ],
            lines: &[
                "I have been sent a letter with the [personal|health] data of another customer, \
                 {name}.",
                "Your e-mail of {date} showed the addresses of all recipients in the [cc|open].",
                "When I log in I can see the documents of somebody else.",
                "My medical file was sent to [my employer|a neighbour] without my consent, which \
                 is a data breach.",
                "I [suspect|fear] that my customer data have been leaked, since I get \
                 [phishing|scam] calls.",
                "Have you reported the breach to the supervisory authority?",
                "A stranger [rang|wrote to] me because he had received my policy by mistake.",
                "The [upload link|attachment] you sent let me open files of other people.",
            ],
        },
    ],
    asks: &[
        "Please confirm the deletion.",
        "Please pass this to your data protection officer.",
        "I expect your answer within the statutory month.",
        "Please tell me what you will do to protect my data.",
    ],
};

pub const COMPLAINT: CategorySpec = CategorySpec {
    name: "complaint",
    description: "Dissatisfied with service or staff; no particular decision or invoice is \
                  contested.",
    queue: "customer-care",
    weight: 8,
    family: "grievance",
    sisters: &["claim-appeal", "legal-notice", "claim-status"],
    topics: &[
        Topic {
            name: "hotline",
            subjects: &[
                "complaint about [hotline|call centre]",
                "[forty|fifty] minutes on hold",
                "nobody [answers|calls back]",
            ],
            lines: &[
                "I spent [forty|fifty] minutes on hold and was then cut off.",
                "I have called [five|four] times and each time I had to explain everything \
                 [anew|from the start].",
                "Nobody [calls back|keeps what was promised], this is really poor service.",
                "The [hotline|call centre] passed me from one [department|person] to the next.",
                "Your automatic voice menu is a nuisance for [elderly|deaf] customers.",
                "My [three|four] e-mails have not been answered at all.",
                "The music went on for [half an hour|ages] before someone picked up, and then the \
                 line [dropped|went dead].",
                "The chatbot keeps sending me in circles and there is no [human|person] to talk \
                 to.",
            ],
        },
        Topic {
            name: "staff",
            subjects: &[
                "[rude|unfriendly] [employee|adviser]",
                "complaint about your agent",
                "behaviour of [Mr|Ms] {surname}",
            ],
            lines: &[
                "Your [employee|adviser], [Mr|Ms] {surname}, was [rude|condescending|unfriendly] \
                 to me.",
                "The agent in {city} gave me [wrong|bad] advice and laughed at my questions.",
                "I have been a customer for [eleven|twenty] years and was never treated [so \
                 badly|like this].",
                "The [adjuster|adviser] did not keep the appointment and did not even \
                 [apologise|call].",
                "I felt [pressed|bullied] into signing, that is no way to treat people.",
                "I was spoken to like a [child|criminal].",
                "[Mr|Ms] {surname} hung up on me when I asked for a supervisor.",
                "Your representative came to the door [unannounced|late in the evening] and would \
                 not leave.",
            ],
        },
        Topic {
            name: "slow-service",
            subjects: &[
                "[disappointed|unhappy] with your service",
                "app [does not work|crashes] again",
                "this takes far too long",
            ],
            lines: &[
                "Everything takes [weeks|ages] with you, I am very [disappointed|annoyed].",
                "Your [app|portal] crashes whenever I want to [upload|open] a document.",
                "Your letters are [impossible to understand|full of mistakes].",
                "Every time I get a different [answer|contact person], that is unprofessional.",
                "The [branch|office] in {city} was closed during the published hours.",
                "I will tell my friends and [rate you|post about it] online.",
                "It took [three|five] letters to get a simple confirmation out of you.",
                "I get [the same form|a standard reply] over and over instead of an answer.",
            ],
        },
    ],
    asks: &[
        "I would like to make a [formal|] complaint.",
        "I expect an apology.",
        "Please forward this complaint to [the management|a supervisor].",
        "Please tell me what you will do to improve your service.",
    ],
};

pub const LEGAL_NOTICE: CategorySpec = CategorySpec {
    name: "legal-notice",
    description: "Letters of lawyers, courts, ombudsmen and authorities.",
    queue: "legal",
    weight: 5,
    family: "grievance",
    sisters: &["claim-appeal", "complaint"],
    topics: &[
        Topic {
            name: "lawyer",
            subjects: &[
                "our client {name}, {claim}",
                "[power of attorney|mandate] in the matter {surname}",
                "letter before action",
            ],
            lines: &[
                "We [act|write] on behalf of our client {name} and enclose our power of attorney.",
                "Our client reserves the right to take legal action without further notice.",
                "Should payment not be made by {date}, we have instructions to [sue|issue \
                 proceedings].",
                "The costs of our services, {amount}, are to be borne by [you|your company].",
                "Please address all further correspondence to our [law firm|chambers] only.",
                "In the legal view of our client your [position|refusal] is untenable.",
                "We have been instructed by {name} in the matter of {claim}.",
                "An out-of-court settlement is possible on payment of {amount} by {date}.",
            ],
        },
        Topic {
            name: "court",
            subjects: &[
                "[summons|statement of claim] {number}",
                "[district|regional] court of {city}",
                "hearing on {date}",
            ],
            lines: &[
                "The statement of claim in the case {surname} is hereby served on you.",
                "The hearing is set for {date} at the [district|regional] court of {city}.",
                "The court asks for your statement of defence within [two|four] weeks.",
                "The bailiff has attached the claims of the debtor {name} against you.",
                "You are summoned as third party in the proceedings with file number {number}.",
                "The judgment of {date} is now final and enforceable.",
                "Enclosed is a certified copy of the order of {date}, file number {number}.",
                "The witness {name} of your company is to appear at the hearing in {city}.",
            ],
        },
        Topic {
            name: "ombudsman",
            subjects: &[
                "ombudsman case {number}",
                "enquiry of the supervisory authority",
                "[consumer association|arbitration], {name}",
            ],
            lines: &[
                "The insurance ombudsman has accepted the [case|grievance] of {name} under the \
                 number {number}.",
                "The arbitration board asks for your written statement and the complete file.",
                "The supervisory authority requests information in accordance with section \
                 {clause} of the insurance act.",
                "The consumer association warns you about the [clause|advertising] used since \
                 {month}.",
                "The police request the [file|data] of policy {policy} for their investigation.",
                "Please observe the time limit, which ends on {date}.",
                "The supervisor asks how many customers were affected by the practice described.",
                "Under section {clause} you are obliged to hand over the records to this office.",
            ],
        },
    ],
    asks: &[
        "We expect your written reply by {date}.",
        "Kindly acknowledge service of this document.",
        "Please send us the complete file for inspection.",
        "Failing this we shall take [legal action|further steps].",
    ],
};
