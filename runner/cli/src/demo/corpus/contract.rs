//! Wording of policy service: cancellations, changes, questions about cover, new quotes.

use super::{CategorySpec, Topic};

pub const POLICY_CANCELLATION: CategorySpec = CategorySpec {
    name: "policy-cancellation",
    description: "The customer ends a policy, at term or early, or withdraws from a new one.",
    queue: "policy-exits",
    weight: 9,
    family: "contract",
    sisters: &["policy-change", "refund-request"],
    topics: &[
        Topic {
            name: "at-term",
            subjects: &[
                "[cancellation|notice] {policy}",
                "cancel {product} insurance",
                "notice to the end of {month}",
            ],
            lines: &[
                "I hereby [cancel|give notice on] my {product} policy {policy} [at the end of the \
                 term|as of {date}].",
                "I have found a [cheaper|better] insurer and will not [renew|extend] the contract.",
                "Please do not renew the {product} policy when it [runs out|expires] in {month}.",
                "I keep the notice period of [three months|one month].",
                "I also [revoke|withdraw] the direct debit mandate once the contract has ended.",
                "Please see this letter as formal notice of termination.",
                "The {product} insurance should [end|stop] with the current year, I do not want it \
                 any longer.",
                "Kindly take {policy} off your books at the next possible date.",
            ],
        },
        Topic {
            name: "object-gone",
            subjects: &[
                "[car|boat] sold, end of policy",
                "[house|flat] sold, insurance no longer needed",
                "[dog|cat] died, end cover",
            ],
            lines: &[
                "I [sold|scrapped|gave away] the [car|motorbike|boat] on {date}, so the policy is \
                 no longer needed.",
                "The [house|flat] has been sold and the buyers [bring|have] their own insurance.",
                "Our [dog|cat] [has died|was rehomed], please end the pet policy.",
                "The vehicle was [deregistered|exported] on {date}, please close the contract.",
                "[My mother|My father|The policyholder] passed away on {date} and the policy \
                 should [end|be closed].",
                "We are [moving abroad|emigrating] in {month} and the {product} cover ends with \
                 it.",
                "The [caravan|scooter] was a total loss and is gone, there is nothing left to \
                 insure.",
                "We have [given up|handed back] the flat and move in with [family|friends], so \
                 household cover can end.",
            ],
        },
        Topic {
            name: "early-exit",
            subjects: &[
                "special right to cancel after [increase|claim]",
                "withdrawal within fourteen days",
                "early [exit|termination] {policy}",
            ],
            lines: &[
                "Because of the premium increase I use my special right to [cancel|terminate].",
                "I withdraw from the {product} contract within the fourteen days of \
                 [grace|withdrawal].",
                "After the [settled|recent] claim I terminate the policy with [one \
                 month's|immediate] notice.",
                "I signed online by mistake and want to [step out of|undo] the contract [at \
                 once|straight away].",
                "The broker talked me into the {product} policy and I want out.",
                "Your changed terms give me the right to terminate [early|without notice].",
                "Having read the small print I [retract|take back] my application of {date}.",
                "The loss ratio letter of {date} entitles me to leave before the term is over.",
            ],
        },
    ],
    asks: &[
        "Please confirm the cancellation [in writing|by e-mail] with the end date.",
        "Please confirm [receipt|the date] of my notice.",
        "I ask for a written confirmation of termination.",
        "Please refrain from any [offers|calls] to win me back.",
    ],
};

pub const POLICY_CHANGE: CategorySpec = CategorySpec {
    name: "policy-change",
    description: "Changes to a running policy: insured objects, drivers, sums, payment interval.",
    queue: "policy-service",
    weight: 10,
    family: "contract",
    sisters: &["policy-cancellation", "coverage-question", "contact-update"],
    topics: &[
        Topic {
            name: "add-driver",
            subjects: &[
                "add [second driver|my son] to the policy",
                "change of [vehicle|registration]",
                "new car on {policy}",
            ],
            lines: &[
                "Please add my [daughter|son|partner] as a [second|named] driver to policy \
                 {policy}.",
                "I have a new car, please [transfer|move] the motor policy to the registration \
                 {plate}.",
                "From {date} {name} will no longer drive the car and can be taken off the policy.",
                "The yearly mileage should be [raised|lowered] to [twelve|eight|twenty] thousand \
                 kilometres.",
                "The car now [sleeps|is kept] in a garage, please [adapt|amend] the tariff.",
                "I would like to [suspend|switch] the seasonal plate to the months from {month}.",
                "The car will be used for [commuting|work trips] from {month} on, please amend the \
                 policy.",
                "I [traded in|returned] the old car, the replacement has the registration {plate}.",
            ],
        },
        Topic {
            name: "sum-insured",
            subjects: &[
                "[raise|increase] sum insured",
                "change deductible on {product} policy",
                "[include|add] bicycle cover",
            ],
            lines: &[
                "Please raise the sum insured of the {product} policy to {amount}.",
                "I would like to [lower|raise] the deductible from {date} on.",
                "Please [include|add] [glass|bicycle|natural hazard] cover in the running \
                 contract.",
                "We have [built a conservatory|finished the attic|put solar panels on the roof] \
                 and need the sum insured adjusted.",
                "Please [remove|drop] the [breakdown|legal expenses] module from {policy}, the \
                 rest stays as it is.",
                "Our household has grown by [a baby|one person], please [adapt|amend] the family \
                 tariff.",
                "A survey puts the value of the house at {amount}, please amend the schedule.",
                "We [sold|bought] some [art|jewellery], the limit for valuables should be altered.",
            ],
        },
        Topic {
            name: "payment-mode",
            subjects: &[
                "[monthly|yearly] payment instead",
                "change of payment [interval|mode]",
                "policyholder change {policy}",
            ],
            lines: &[
                "I would like to [switch|change] from [monthly|quarterly] to yearly payment.",
                "Please change the policyholder of {policy} from me to my [wife|husband|company].",
                "Please debit the premium on the [first|fifteenth] of the month from {month} on.",
                "Please merge my [two|three] policies into one [package|bundle].",
                "The [beneficiary|creditor bank] named in the policy should be changed to {name}.",
                "Please move the main due date of the {product} policy to {month}.",
                "Half-yearly instead of monthly instalments would suit me better from {month}.",
                "After the [merger|divorce] the policy should run in the name of {name}.",
            ],
        },
    ],
    asks: &[
        "Please send me the amended policy.",
        "Please [make|enter] the change from {date} on.",
        "Kindly confirm the change and the new premium.",
        "Please send the [endorsement|new schedule].",
    ],
};

pub const COVERAGE_QUESTION: CategorySpec = CategorySpec {
    name: "coverage-question",
    description: "Asks what a policy covers, where and for whom, before any loss has happened.",
    queue: "policy-advice",
    weight: 8,
    family: "contract",
    sisters: &["quote-request", "policy-change", "claim-report"],
    topics: &[
        Topic {
            name: "abroad",
            subjects: &[
                "covered [abroad|in Morocco|in Norway]?",
                "green card for [holiday|trip]",
                "question on [travel|foreign] cover",
            ],
            lines: &[
                "Am I covered when I [drive|travel] [to Morocco|to Turkey|outside the EU] in \
                 {month}?",
                "Do I need a green card for [Albania|Serbia|Ukraine]?",
                "For how many weeks abroad does the {product} policy [hold|apply]?",
                "Does the travel cover [include|extend to] [skiing|diving|a cruise]?",
                "Is a rental car abroad [included|insured] under my motor policy?",
                "We spend the winter in {city}, is the empty house still covered [then|meanwhile]?",
                "My daughter spends a [term|year] in {city}, does her insurance go with her?",
                "Would a [breakdown|hospital stay] in [Switzerland|Tunisia|Canada] be paid for by \
                 the {product} policy?",
            ],
        },
        Topic {
            name: "scope",
            subjects: &[
                "is [hail|flood|vandalism] covered?",
                "[question|query] about {product} cover",
                "what does {policy} include?",
            ],
            lines: &[
                "Does my {product} policy cover [flood|hail|vandalism|moss under the roof tiles]?",
                "Is [gross negligence|a lost key|working from home] included, or do I need an \
                 extra module?",
                "Up to which [sum|limit] are [valuables|e-bikes|musical instruments] insured?",
                "The terms speak of [elementary events|wild animals], what does that \
                 [mean|include]?",
                "Which deductible would [apply|be due] if the [cat|neighbour's child] broke \
                 something?",
                "I could not find in the terms whether the [garden shed|charging station] is \
                 covered.",
                "If a [tree|chimney] falls on the neighbour's [car|shed], which of my policies \
                 would [step in|answer]?",
                "Are [parcel theft|power surges|burst tyres] part of the {product} cover?",
            ],
        },
        Topic {
            name: "persons",
            subjects: &[
                "is my [son|daughter] still insured?",
                "cover for [guests|au pair|lodger]",
                "who is covered by {policy}?",
            ],
            lines: &[
                "Is my [son|daughter], who [studies in {city}|started an apprenticeship], still \
                 insured with us?",
                "Are [guests|babysitters|volunteers] covered by the liability policy?",
                "May [my sister|a friend] drive the car now and then without being named?",
                "Does the cover also [apply|hold] for my [partner|flatmate], we are not married?",
                "Until what age are children [included|insured] with their parents?",
                "I will be self-employed from {month}, am I still covered [at work|for that]?",
                "We take in a [foster child|refugee family] in {month}, are they insured through \
                 us?",
                "Does the dog sitter have cover if the dog [bites|runs off]?",
            ],
        },
    ],
    asks: &[
        "Could you tell me whether that is covered?",
        "Please point me to the [clause|passage] in the terms.",
        "Just a question, nothing has happened so far.",
        "A short [answer|explanation] would be enough.",
    ],
};

pub const QUOTE_REQUEST: CategorySpec = CategorySpec {
    name: "quote-request",
    description: "Asks for an offer or a price for insurance the person does not have yet.",
    queue: "sales",
    weight: 7,
    family: "contract",
    sisters: &["coverage-question", "policy-change"],
    topics: &[
        Topic {
            name: "vehicle",
            subjects: &[
                "quote for [car|van|motorbike]",
                "price for [electric car|camper] insurance",
                "offer [motor|boat] insurance",
            ],
            lines: &[
                "I am about to buy a [used estate car|camper van|motorbike] and would like a quote \
                 for insurance.",
                "What would [comprehensive|third party] cover cost for [an electric car|a small \
                 van] first registered in [2019|2021|2023]?",
                "I have [twelve|seven|twenty] claim-free years with my present insurer.",
                "The boat is [six|nine] metres long and lies in {city}, could you make me an \
                 offer?",
                "Please quote for a fleet of [four|six|eleven] vans.",
                "My present insurer asks for {amount}, can you [beat|match] that price?",
                "How much would you charge a new driver of [nineteen|twenty-two] for a small car?",
                "I am changing insurers at the end of the year and compare prices for my \
                 [saloon|tractor|scooter].",
            ],
        },
        Topic {
            name: "home",
            subjects: &[
                "offer for [home|household] insurance",
                "quote [new flat|house purchase]",
                "price of [landlord|building] insurance",
            ],
            lines: &[
                "We are buying a house in {city} and need an offer for building insurance.",
                "The flat has [sixty|eighty|a hundred and ten] square metres on the \
                 [second|ground] floor, what would household insurance cost?",
                "The bank wants proof of building insurance [before|at] completion on {date}.",
                "The house was built in [1928|1974|2006], has a [tiled|thatched] roof and no \
                 cellar.",
                "I let [two|three] flats and would like a price for landlord insurance.",
                "Please send an offer with and without [flood|glass] cover.",
                "For a studio of [thirty|forty] square metres in {city}, what is your cheapest \
                 household tariff?",
                "Please calculate building insurance for a [terraced house|farmhouse] worth \
                 {amount}.",
            ],
        },
        Topic {
            name: "business",
            subjects: &[
                "[offer|quote] liability insurance for [start-up|bakery]",
                "insurance for [a club|our practice]",
                "price request [pet|event] insurance",
            ],
            lines: &[
                "I am opening a [bakery|studio|practice] in {month} and look for professional \
                 liability insurance.",
                "Our [club|association] plans a [festival|street party] for [three hundred|nine \
                 hundred] guests, what would event cover cost?",
                "We have [four|fourteen] employees and a turnover of {amount}.",
                "Please send me your prices for [puppy|horse] insurance, he is [two|five] years \
                 old.",
                "A colleague recommended you, do you offer cyber insurance for small \
                 [firms|offices]?",
                "We compare [three|several] insurers and decide in {month}.",
                "I [start|set up] as a [photographer|carpenter|tutor] and need to know what cover \
                 would cost me.",
                "Could you offer a group tariff for the [staff|members] of our [firm|choir]?",
            ],
        },
    ],
    asks: &[
        "Please send me an offer without obligation.",
        "What would it cost [per year|a month]?",
        "I look forward to your [quote|offer].",
        "Please have an adviser call me about a [price|quote].",
    ],
};
