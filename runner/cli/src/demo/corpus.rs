//! The vocabulary of the demo data: mail to Harbour Mutual, an insurance company that does not
//! exist. It holds words only; `compose` makes texts of them. In every line `[a|b]` is a choice,
//! which may nest or be empty, and `{slot}` is filled with an entity.

mod billing;
mod claims;
mod contract;
mod customer;

/// A category with the wording of its records.
pub struct CategorySpec {
    pub name: &'static str,
    pub description: &'static str,
    pub queue: &'static str,
    /// How frequent the category is, against the others.
    pub weight: u32,
    /// Categories of one family share `family_lines`, which tell them apart from the rest only.
    pub family: &'static str,
    /// Categories whose sentences get mixed into records of this one.
    pub sisters: &'static [&'static str],
    pub topics: &'static [Topic],
    pub asks: &'static [&'static str],
}

/// A subject within a category; label noise is set by topic.
pub struct Topic {
    pub name: &'static str,
    pub subjects: &'static [&'static str],
    pub lines: &'static [&'static str],
}

/// The approved taxonomy, in the order of its file.
pub const CATEGORIES: [&CategorySpec; 16] = [
    &claims::CLAIM_REPORT,
    &claims::CLAIM_STATUS,
    &claims::CLAIM_APPEAL,
    &claims::REPAIR_ESTIMATE,
    &claims::MEDICAL_EVIDENCE,
    &billing::INVOICE_DISPUTE,
    &billing::PAYMENT_REMINDER,
    &billing::REFUND_REQUEST,
    &contract::POLICY_CANCELLATION,
    &contract::POLICY_CHANGE,
    &contract::COVERAGE_QUESTION,
    &contract::QUOTE_REQUEST,
    &customer::CONTACT_UPDATE,
    &customer::DATA_PROTECTION,
    &customer::COMPLAINT,
    &customer::LEGAL_NOTICE,
];

/// Returns the position of a category in `CATEGORIES`.
pub fn category_index(name: &str) -> usize {
    CATEGORIES
        .iter()
        .position(|category| category.name == name)
        .expect("the demo's own tables name existing categories")
}

/// Returns sentences that any category of a family may contain.
pub fn family_lines(family: &str) -> &'static [&'static str] {
    match family {
        "billing" => &[
            "It is about the amount of {amount} on my account statement of {date}.",
            "The customer account shows [entries|bookings] for invoice {invoice} that I cannot \
             follow.",
            "The premium for the {product} policy is paid by [direct debit|bank transfer|standing \
             order].",
            "I have enclosed a copy of my bank statement for {month}.",
            "The payment reference is {invoice} and the sum {amount}.",
            "I have always paid my premiums [on time|punctually].",
            "Your accounts department wrote to me about {invoice} on {date}.",
        ],
        "claims" => &[
            "This is about the damage of {date} in {city}.",
            "My claim number is {claim}, the policy {policy}.",
            "Photos of the damage are [attached|on their way].",
            "I have kept all the receipts and [can send|will send] them.",
            "The loss comes to [about|roughly] {amount}.",
            "I told your hotline about the damage on {date}.",
            "The {product} policy should pay for this.",
        ],
        "claim-papers" => &[
            "The documents belong to claim {claim}.",
            "Please find the [bill|report] of {date} in the attachment.",
            "The total is {amount}, [payable|due] by {date}.",
            "This refers to the accident of {date} in {city}.",
            "The originals follow by post.",
        ],
        "contract" => &[
            "It concerns policy {policy}, {product} insurance.",
            "The {product} contract has been running since {month}.",
            "At present I pay {amount} a year for it.",
            "I would like this to take effect on {date}.",
            "Your adviser in {city} knows about my situation.",
            "The terms I have are of {month}.",
        ],
        "customer-data" => &[
            "My date of birth and customer number are in your files.",
            "Please check the data stored under {policy}.",
            "The details in your customer record are not right.",
            "A copy of my identity card is attached.",
            "My e-mail address and telephone number should be in your system.",
        ],
        _ => &[
            "I refer to the correspondence of {date}.",
            "The matter concerns {claim} and has been going on since {month}.",
            "Your company has been [informed|written to] several times.",
            "I [will not|cannot] leave it at that.",
            "A copy of this letter goes to the [ombudsman|consumer association].",
        ],
    }
}

pub const GREETINGS: &[&str] = &[
    "Dear Sir or Madam,",
    "Dear Harbour Mutual team,",
    "Hello,",
    "Good [morning|day|afternoon],",
    "Hi there,",
    "Dear [Mr|Ms] {surname},",
    "To whom it may concern,",
    "Dear all,",
    "hello",
    "Dear customer service,",
];

pub const OPENINGS: &[&str] = &[
    "I am writing [to you|] about policy {policy}.",
    "[Following|Further to] my [call|e-mail|letter] of {date}, I would like to add the following.",
    "I have been insured with you since {month}.",
    "My policy number is {policy}.",
    "Reference: {policy}, {name}.",
    "I tried to reach you by telephone [this morning|yesterday|on {date}].",
    "Thank you for your [letter|message] of {date}.",
    "I hope you are well.",
    "I was [advised|told] to contact this address.",
    "As discussed with [Mr|Ms] {surname} [on the phone|at the branch in {city}], here it is in \
     writing.",
    "Sorry for the [long message|bother], but I need your help.",
    "I am writing for my [mother|father|husband|wife|neighbour], who does not use a computer.",
];

pub const FILLERS: &[&str] = &[
    "I am away from {date} and can be reached on {phone}.",
    "Please excuse my handwriting in the scan.",
    "The customer number is in the subject line.",
    "My previous e-mail came back as undeliverable.",
    "We have several contracts with you, {product} and {product} among them.",
    "I have attached [two|three] files.",
    "{name} at your branch in {city} may know more.",
    "I am copying my [broker|partner|son] on this message.",
    "I could not find the right form on your website.",
    "You can reach me in the [mornings|evenings] on {phone}.",
    "I have never had to write to you before.",
    "I sent the same by fax on {date}.",
    "It is rather urgent for me.",
    "Our last contact was in {month}.",
];

pub const CLOSINGS: &[&str] = &[
    "Thank you [in advance|very much] for your help.",
    "I look forward to hearing from you.",
    "If you have questions, call me on {phone}.",
    "Many thanks.",
    "Please confirm receipt of this message.",
    "Thanks and have a nice [day|weekend].",
    "Please reply by e-mail, not by post.",
];

pub const SIGNATURES: &[&str] = &[
    "Kind regards\n{name}",
    "Best wishes,\n{name}\n{street}\n{city}",
    "Yours [faithfully|sincerely]\n{name}",
    "Regards, {name}",
    "{name}, {phone}",
    "Sent from my phone",
    "{name}\nPolicy {policy}",
];

pub const FOOTERS: &[&str] = &[
    "This message is confidential and intended for the addressee only. If you have received it in \
     error, please delete it and tell the sender.",
    "Scanned in mail room 2, batch {number}. Text recognised by machine, check against the image.",
    "Please think of the environment before you print this e-mail.",
    "The contents of this e-mail are not legally binding. Registered office: {street}, {city}.",
];

/// How a clerk begins the note of a call.
pub const PHONE_NOTES: &[&str] = &[
    "Call of {date}, [Mr|Ms] {surname}:",
    "Telephone note {policy}:",
    "Customer [rang|called], says:",
    "Note of call, please call back on {phone}.",
];

/// What mail programs put before a message that a branch passed on.
pub const FORWARDS: &[&str] = &[
    "---------- Forwarded message ----------\nFrom: {name}\nDate: {date}",
    "-----Original message-----\nFrom: {name}\nTo: branch {city}",
    "FYI, not for us. {name}, branch {city}",
    "Please handle, the customer was at the counter on {date}.",
];

/// Words that tie a sentence to the one before.
pub const CONNECTORS: &[&str] = &[
    "Also,",
    "[Besides|Moreover],",
    "To be clear:",
    "By the way,",
    "As I said,",
    "What is more,",
    "And",
    "In short,",
    "So",
    "For the record:",
    "I should add that",
    "As far as I know,",
    "You should know that",
    "PS:",
    "Unfortunately",
    "Then",
];

/// First words that lose their capital behind a connector.
pub const COMMON_STARTS: &[&str] = &[
    "The",
    "My",
    "Your",
    "You",
    "We",
    "Our",
    "There",
    "It",
    "A",
    "An",
    "This",
    "That",
    "Is",
    "Does",
    "Do",
    "Am",
    "Are",
    "Has",
    "When",
    "Please",
    "Because",
    "After",
    "For",
    "Both",
    "What",
    "Which",
    "How",
    "Who",
    "Until",
    "Up",
    "Could",
    "Would",
    "May",
    "Here",
    "Nobody",
    "Everything",
    "Letters",
    "Somebody",
    "Neither",
    "If",
    "From",
    "Under",
    "Kindly",
    "Enclosed",
];

/// Subject lines that say nothing about the category.
pub const VAGUE_SUBJECTS: &[&str] = &[
    "your letter of {date}",
    "policy {policy}",
    "question",
    "[urgent|important]: {policy}",
    "my {product} policy",
    "{name}, {policy}",
    "as discussed",
    "reply to your message",
    "documents",
];

pub const PRODUCTS: &[&str] =
    &["motor", "home", "household", "travel", "pet", "boat", "liability", "bicycle", "building"];

pub const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub const CITIES: &[&str] = &[
    "Northhaven",
    "Millbridge",
    "Saltmarsh",
    "Port Ellery",
    "Großweiler",
    "Kirkby",
    "Aldermoor",
    "Västerholm",
    "Łąkowo",
    "Hillcrest",
    "São Bento",
    "Wexley",
    "Östby",
    "Greywater",
    "Farnley",
    "Brévin",
];

pub const STREETS: &[&str] = &[
    "Mill Lane",
    "Harbour Street",
    "Station Road",
    "Am Brückle",
    "Rue de l'Église",
    "Castle View",
    "Birch Avenue",
    "Quay Road",
    "Ørsteds Allé",
    "Market Square",
    "Weavers Row",
    "Church Hill",
];

pub const FIRST_NAMES: &[&str] = &[
    "Anna",
    "Peter",
    "Zoë",
    "Łukasz",
    "Søren",
    "Maria",
    "José",
    "Thị Hoa",
    "Olga",
    "Jürgen",
    "Amélie",
    "David",
    "Fatma",
    "Niamh",
    "Håkon",
    "Ivana",
    "Samuel",
    "Grace",
    "Ömer",
    "Chloé",
    "Γιώργος",
    "Michael",
    "Priya",
    "Emeka",
    "Yuki",
    "Ольга",
];

pub const SURNAMES: &[&str] = &[
    "Müller",
    "Nguyễn",
    "Brânză",
    "Wiśniewski",
    "Ørsted",
    "Smith",
    "O'Connor",
    "García",
    "Novák",
    "Yılmaz",
    "Lindström",
    "Baker",
    "Dvořák",
    "Okafor",
    "Patel",
    "Παππάς",
    "Weiß",
    "Lefèvre",
    "Taylor",
    "Jónsdóttir",
    "Kowalska",
    "Tanaka",
    "Петрова",
    "Hughes",
    "Marsh",
    "van der Berg",
];
