//! Wording of claims handling: reports, questions about progress, appeals, estimates, evidence.

use super::{CategorySpec, Topic};

pub const CLAIM_REPORT: CategorySpec = CategorySpec {
    name: "claim-report",
    description: "First notice of a loss or an accident, with what happened and when.",
    queue: "claims-intake",
    weight: 13,
    family: "claims",
    sisters: &["claim-status", "repair-estimate"],
    topics: &[
        Topic {
            name: "motor-accident",
            subjects: &[
                "car accident on {date}",
                "[hit|scratched] while parked",
                "[collision|crash] in {city}",
            ],
            lines: &[
                "On {date} [another driver|a delivery van|a cyclist] [hit|ran into] my car [at a \
                 junction|in the car park|at the traffic lights] in {city}.",
                "The [rear bumper|front wing|driver's door] is [dented|damaged] and one headlight \
                 is broken.",
                "[The police took down the accident|No police were called, but we swapped \
                 addresses].",
                "I [skidded|slipped] on the wet road and [struck|touched] a [bollard|guard \
                 rail|lamp post].",
                "Nobody was hurt [in the crash|, luckily], but the car cannot be driven.",
                "A [stone|deer|branch] came out of nowhere and [cracked the windscreen|smashed the \
                 bonnet].",
                "While [reversing|parking] I damaged a [parked car|garden wall|gate] in {street}.",
                "The other driver, {name}, registration {plate}, [admitted|denies] the fault at \
                 the scene.",
            ],
        },
        Topic {
            name: "water-damage",
            subjects: &[
                "[burst|leaking] pipe in the [kitchen|cellar]",
                "water damage in {city}",
                "storm damage to [roof|fence]",
            ],
            lines: &[
                "A pipe [burst|sprang a leak] in the [bathroom|cellar|kitchen] during the night of \
                 {date}.",
                "Water came through the ceiling and [ruined|soaked] the \
                 [parquet|carpet|cupboards].",
                "The storm of {date} [tore off|lifted] [several|a dozen] roof tiles and rain got \
                 in.",
                "The [washing machine|dishwasher] hose came off while we were [out|asleep] and \
                 flooded the flat [below|underneath].",
                "We have [taken photos|kept the soaked items] and [a plumber has|the fire brigade \
                 has] stopped the leak.",
                "The plaster is [wet|coming off] and there is a smell of mould.",
                "[Hail|Lightning] struck our [house|conservatory|solar panels] on {date} and left \
                 [holes|scorch marks].",
                "A fire in the [kitchen|clothes dryer] blackened the [walls|cupboards] before we \
                 could put it out.",
            ],
        },
        Topic {
            name: "theft-travel",
            subjects: &[
                "[stolen|theft of] [bicycle|laptop|luggage]",
                "break-in on {date}",
                "[lost|missing] suitcase in {city}",
            ],
            lines: &[
                "My [bicycle|laptop|camera|handbag] was stolen [from the cellar|out of the locked \
                 car|at the station] on {date}.",
                "Burglars [forced|broke open] the [back door|balcony window] and took \
                 [jewellery|cash and a watch].",
                "I have reported the theft to the police, the file number is [K|P]{number}.",
                "Our suitcase never [came off the belt|arrived] in {city} and the airline gave us \
                 a loss report.",
                "The stolen [things|items] were worth about {amount}, receipts are \
                 [attached|available].",
                "My [phone|tablet] fell [into the water|down the stairs] on holiday and is beyond \
                 use.",
                "My son [broke|knocked over] the neighbour's [window|television] while playing, \
                 this is a liability case.",
                "Somebody [slashed|took] the wheels of my bicycle in {city} last night.",
            ],
        },
    ],
    asks: &[
        "Please open a claim and [send me|tell me] the claim number.",
        "I would like to [report|register] this damage.",
        "Which forms do you need for the report?",
        "Please take this as my notice of loss.",
    ],
};

pub const CLAIM_STATUS: CategorySpec = CategorySpec {
    name: "claim-status",
    description: "Asks how far a claim that is already open has got, or when it will be paid.",
    queue: "claims-service",
    weight: 10,
    family: "claims",
    sisters: &["claim-report", "claim-appeal"],
    topics: &[
        Topic {
            name: "progress",
            subjects: &[
                "status of claim {claim}",
                "any news on {claim}",
                "[progress|update] on my claim",
            ],
            lines: &[
                "I reported claim {claim} on {date} and have not [heard anything|had any update] \
                 since.",
                "What is the [current status|state of things], and is anything still \
                 [missing|needed] from me?",
                "The claim has been [in process|pending|under examination] for [five|six|ten] \
                 weeks [now|already].",
                "Your portal [still says|shows] in progress, is that [right|up to date]?",
                "Has the [file|case] been [assigned to|taken over by] a handler yet?",
                "I [called|rang] on {date} and was told that somebody would [get back|give me an \
                 update].",
                "On {date} I sent [the missing form|further photos] for {claim}, did they arrive?",
                "It would be good to know who [deals with|looks after] my claim and when to expect \
                 an answer.",
            ],
        },
        Topic {
            name: "payout-date",
            subjects: &[
                "when will {claim} be paid",
                "[payout|settlement] date",
                "waiting for claim payment",
            ],
            lines: &[
                "You [approved|accepted] claim {claim} on {date}, when will the \
                 [payout|settlement] arrive?",
                "The [garage|hotel|landlord] is waiting for the payout and asks me every \
                 [week|other day].",
                "I was told that the settlement takes [ten|fourteen] working days, and these are \
                 [over|long past].",
                "Has the [settlement|payout] of {amount} been [released|ordered] yet?",
                "Could you [confirm|check] the bank details on which the claim will be paid?",
                "Is the deductible [already|going to be] taken off the payout?",
                "The other insurer says that you [have|hold] the money for {claim}, when do you \
                 pass it on?",
                "We need the settlement to pay the [builders|workshop], is there a date?",
            ],
        },
        Topic {
            name: "expert-visit",
            subjects: &[
                "[visit|appointment] of the loss adjuster",
                "when does the [expert|assessor] come",
                "adjuster for {claim}",
            ],
            lines: &[
                "The [loss adjuster|assessor|expert] was to [come|visit] on {date} but nobody \
                 [turned up|called].",
                "When will the [adjuster|assessor] [look at|inspect] the damage?",
                "Has the assessor's report on {claim} [come in|reached you]?",
                "May we [start repairs|throw the wet furniture away] before the expert has been \
                 here?",
                "I was [given|promised] an appointment with the adjuster and need to know the \
                 [day|hour].",
                "The expert took [photos|measurements] on {date}, what [happens|is the] next \
                 [step|]?",
                "Please give me the telephone number of the assessor for {claim}.",
                "The date for the inspection does not suit me, can the adjuster come after {date}?",
            ],
        },
    ],
    asks: &[
        "Please let me know where things stand.",
        "Could you give me a [short|brief] update?",
        "How long will it [still|] take?",
        "Please [call|write] to tell me the [status|next steps].",
    ],
};

pub const CLAIM_APPEAL: CategorySpec = CategorySpec {
    name: "claim-appeal",
    description: "Objects to a decision on a claim: refused, cut short or valued too low.",
    queue: "claims-review",
    weight: 8,
    family: "claims",
    sisters: &["claim-status", "complaint", "legal-notice"],
    topics: &[
        Topic {
            name: "refused",
            subjects: &[
                "[appeal|objection] against refusal of {claim}",
                "claim [refused|rejected] without reason",
                "your decision of {date}",
            ],
            lines: &[
                "I [appeal against|object to|do not accept] your decision of {date} to \
                 [refuse|reject|decline] claim {claim}.",
                "You say that the damage is [excluded|not covered], but [clause|section] {clause} \
                 says the opposite.",
                "The refusal rests on gross negligence, which I [deny|firmly contest].",
                "Your letter of refusal does not [name|give] any [reason|clause] that would apply.",
                "The [witness|police report] proves that the exclusion you rely on does not \
                 [apply|hold].",
                "I ask for a [second|fresh] decision on the rejected claim by someone [else|who \
                 has read the file].",
                "Your refusal gets the facts wrong: the [door|cellar|window] was [locked|closed].",
                "I attach [a statement|photos] that you did not [weigh|consider] when you declined \
                 the claim.",
            ],
        },
        Topic {
            name: "too-low",
            subjects: &[
                "settlement [too low|far too small]",
                "[objection|appeal], valuation of {claim}",
                "depreciation on {claim}",
            ],
            lines: &[
                "The settlement of {amount} does not [cover|even pay for half of] the real loss.",
                "You took off [forty|fifty|sixty] per cent for wear and tear, which is \
                 [unfounded|far too much].",
                "Your expert valued the [car|boat|furniture] below any [market|dealer's] price.",
                "I object to the depreciation and have [enclosed|attached] [three|two] comparable \
                 offers.",
                "An independent [valuer|surveyor] puts the loss at {amount}, please \
                 [reconsider|raise] the settlement.",
                "The deductible was [applied|taken off] twice in your decision.",
                "What you [awarded|granted] for the [kitchen|engine|jewellery] is less than a \
                 third of what it cost.",
                "The [residual|scrap] value in your valuation is [invented|far too high].",
            ],
        },
        Topic {
            name: "late-notice",
            subjects: &[
                "refusal for late [notice|report]",
                "[objection|appeal]: deadline kept",
                "review of decision {claim}",
            ],
            lines: &[
                "You refuse to pay because the damage was [reported|notified] too late, yet I \
                 [reported|notified] it on {date}.",
                "I could not report [earlier|sooner] because I was in hospital, so the late notice \
                 is excused.",
                "The registered letter [shows|proves] that my report [reached|was with] you in \
                 time.",
                "The late notice did not [harm|change] anything, so the claim may not be \
                 [reduced|declined] for it.",
                "Your decision [overlooks|ignores] that the [hotline|agent] told me to wait with \
                 the report.",
                "I hereby [lodge|file] an appeal within the period of [one month|thirty days].",
                "The seven days in clause {clause} only run from the day I [learned of|discovered] \
                 the damage.",
                "That the report came in {month} is the fault of the [post|broker] and cannot be \
                 held against me.",
            ],
        },
    ],
    asks: &[
        "Please [review|reverse] the decision.",
        "I expect a [new|reasoned] decision by {date}.",
        "Kindly have the file [examined|looked at] by your appeals board.",
        "I uphold my objection until the claim is [settled|paid] in full.",
    ],
};

pub const REPAIR_ESTIMATE: CategorySpec = CategorySpec {
    name: "repair-estimate",
    description: "Estimates, invoices and photos of workshops and builders that belong to a claim.",
    queue: "claims-technical",
    weight: 7,
    family: "claim-papers",
    sisters: &["medical-evidence", "claim-report", "invoice-dispute"],
    topics: &[
        Topic {
            name: "garage",
            subjects: &[
                "estimate [garage|body shop] {claim}",
                "repair [quote|estimate] for the car",
                "cost of repair, [workshop|garage]",
            ],
            lines: &[
                "Please find [enclosed|attached] our estimate for the repair of the vehicle, \
                 {amount} including paint.",
                "The [body shop|garage] reckons with [twelve|nine|sixteen] hours of labour and a \
                 new [bumper|wing|door].",
                "Spare parts [are on back order|have been ordered], repair can start on {date}.",
                "On taking the car apart our mechanic found [hidden|further] damage to the \
                 [axle|radiator].",
                "May we [begin|go ahead] with the repair, and do you [pay us|settle] directly?",
                "[A rental car|A courtesy car] is needed for [five|eight] days while the workshop \
                 has the vehicle.",
                "Enclosed are the calculation and the paint code for {plate}.",
                "The estimate includes [towing|wheel alignment|calibration of the camera], parts \
                 are new originals.",
            ],
        },
        Topic {
            name: "builder",
            subjects: &[
                "[builder's|roofer's|plumber's] estimate",
                "offer for drying and plaster",
                "estimate {claim} [floor|roof]",
            ],
            lines: &[
                "Our offer for [drying|replastering|new flooring] comes to {amount} plus tax.",
                "The [plumber|roofer|carpenter] has sent his estimate, see the attachment.",
                "Drying will take [two|three] weeks, the rent for the machines is listed [on page \
                 two|separately].",
                "Labour and material for the [roof|parquet|bathroom] are shown item by item.",
                "The estimate is [valid|binding] for [thirty|sixty] days and does not include \
                 [scaffolding|waste removal].",
                "We have measured [forty|eighteen] square metres of damaged [wall|floor].",
                "We offer to [tile|paint|seal] the damaged area anew in {month}.",
                "Two craftsmen have looked at the [ceiling|window frame], here is the cheaper \
                 estimate.",
            ],
        },
        Topic {
            name: "final-bill",
            subjects: &[
                "final [bill|invoice] of the workshop",
                "[bill|receipt] for repair {claim}",
                "photos and [bill|receipt]",
            ],
            lines: &[
                "The repair is [done|finished], attached is the final bill of the workshop for \
                 {amount}.",
                "The final [bill|sum] is above the estimate because [a pump had to be changed|more \
                 parts were needed].",
                "I have [paid|advanced] the repair bill and send the receipt for \
                 [settlement|reimbursement] under {claim}.",
                "Photos before and after the repair are [on the link below|in the attached file].",
                "Please [transfer|pay] the repair bill straight to the [contractor|workshop].",
                "The [electrician|locksmith] charged {amount} for the emergency repair.",
                "The workshop [released|handed over] the vehicle on {date}, the bill lists labour \
                 of {amount}.",
                "Enclosed are [the drying log|the acceptance sheet] and the bill of the \
                 [contractor|painter].",
            ],
        },
    ],
    asks: &[
        "Please approve the estimate.",
        "We ask for your go-ahead [in writing|by e-mail].",
        "Please add the [papers|estimate] to the claim file.",
        "Kindly confirm that the repair costs will be covered.",
    ],
};

pub const MEDICAL_EVIDENCE: CategorySpec = CategorySpec {
    name: "medical-evidence",
    description: "Reports, certificates and bills of doctors and hospitals that belong to a claim.",
    queue: "claims-medical",
    weight: 6,
    family: "claim-papers",
    sisters: &["repair-estimate", "claim-status", "data-protection"],
    topics: &[
        Topic {
            name: "report",
            subjects: &[
                "medical report {name}",
                "[hospital|discharge] letter for {claim}",
                "[x-ray|MRI] findings",
            ],
            lines: &[
                "Enclosed is the medical report of Dr {surname} on the \
                 [injury|fracture|treatment].",
                "The [discharge letter|surgery report] of the hospital in {city} is attached.",
                "The [x-ray|MRI scan] of {date} shows a [torn ligament|fractured wrist|bruised \
                 rib].",
                "The patient has been in [physiotherapy|treatment] since {month} and will need \
                 [ten|twelve] more sessions.",
                "The [surgeon|orthopaedist] expects a lasting [impairment|disability] of \
                 [ten|fifteen] per cent.",
                "Diagnosis and [course|therapy] are described [overleaf|on the second page].",
                "The neurologist found no lasting [damage|deficit], see the findings of {date}.",
                "You asked for [the operation report|the x-rays], the clinic in {city} has now \
                 sent them.",
            ],
        },
        Topic {
            name: "sick-note",
            subjects: &[
                "sick note until {date}",
                "certificate of [incapacity|inability to work]",
                "[doctor's note|medical certificate]",
            ],
            lines: &[
                "Here is my sick note, I am unable to work until {date}.",
                "My doctor has [extended|prolonged] the certificate of incapacity by [two|four] \
                 weeks.",
                "Please find the doctor's [note|certificate] for the [cancelled|missed] trip, we \
                 could not fly because of [fever|surgery].",
                "The certificate [confirms|states] that {name} was in hospital from {date}.",
                "I send the [original|second] certificate for the daily [sickness|hospital] \
                 allowance.",
                "The family doctor certifies [a concussion|back pain] after the accident.",
                "The doctor wrote me off sick for [ten days|three weeks] because of [the \
                 whiplash|a slipped disc].",
                "The ship's doctor issued the certificate when {name} fell ill [on board|during \
                 the cruise].",
            ],
        },
        Topic {
            name: "treatment-bill",
            subjects: &[
                "[dental|hospital|pharmacy] bill",
                "bills for treatment {claim}",
                "vet bill for [the dog|our cat]",
            ],
            lines: &[
                "I enclose the bills of the [dentist|hospital|pharmacy] for the treatment after \
                 the accident.",
                "The [dentist|clinic] charged {amount} for the [crown|operation].",
                "The vet operated on our [dog|cat] on {date}, bill and findings are attached.",
                "[Crutches|Medication|A brace] was prescribed by the doctor, the receipt is \
                 included.",
                "The treatment abroad cost {amount}, the hospital in {city} wants to be paid \
                 [directly|at once].",
                "The ambulance [bill|ride] of {amount} also belongs to this treatment.",
                "Please see the [physiotherapist's|optician's] bill and the prescription.",
                "The surgery on the [knee|shoulder] was billed by the clinic at {amount}.",
            ],
        },
    ],
    asks: &[
        "Please add the [report|certificate] to the file.",
        "Please pass this on to your medical [officer|service].",
        "Please reimburse the cost of treatment.",
        "Let me know if the doctor should send [more|further] findings.",
    ],
};
