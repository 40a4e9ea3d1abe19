//! What an agreement may miss, or say that is not lawful: the catalogue, each item with the rule that it comes from.
//!
//! A [`Gap`] with a refusal of its own stands against a draft already; every gap stands against a proposal and an
//! activation. The codes are API and never renamed. Sources: UK GDPR; Data Protection Act 2018; Data (Use and Access) Act
//! 2025; the ICO's data sharing code of practice; GIRFEC Practice Guidance 4; [2016] UKSC 51; the Collaborative Gain study
//! of the Improvement Service, October 2008 (G1 to G14 of `docs/law.md`).

use std::fmt;

use crate::machine::outcome::Refusal;

/// One item that is missing or not lawful.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What it is.
    pub gap: Gap,
    /// The field of the content that it is about, such as `flows[0].basis`.
    pub field: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {} ({})", self.field, self.gap.message(), self.gap.rule())
    }
}

macro_rules! gaps {
    ($($name:ident $code:literal $refusal:expr, $rule:literal, $message:literal;)*) => {
        /// What an agreement may miss, or say that is not lawful.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Gap {$(
            #[doc = $message]
            $name,
        )*}

        impl Gap {
            /// Every gap.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self {$( Self::$name => $code, )*}
            }

            /// The refusal of a draft that says so; none if a draft may still leave it open.
            pub const fn refusal(self) -> Option<Refusal> {
                match self {$( Self::$name => $refusal, )*}
            }

            /// The rule that it comes from.
            pub const fn rule(self) -> &'static str {
                match self {$( Self::$name => $rule, )*}
            }

            /// What is missing or not lawful and what to do, in lower case.
            pub const fn message(self) -> &'static str {
                match self {$( Self::$name => $message, )*}
            }
        }
    };
}

gaps! {
    PurposeNotAllowed "PURPOSE_NOT_ALLOWED" Some(Refusal::PurposeNotPermitted),
        "G8, study S242-244; UK GDPR art. 5(1)(b)",
        "an agreement has one purpose for which records about people are shared; name it";
    PartyDiffers "PARTY_DIFFERS" Some(Refusal::PartyInvalid),
        "G1, study S355",
        "a party is an enrolled agency, named once, of the kind and with the key that it shows";
    PartyCount "PARTY_COUNT" Some(Refusal::PartyInvalid),
        "G2, study S240",
        "an agreement has 2 to 32 parties";
    RecordTypeUnknown "RECORD_TYPE_UNKNOWN" Some(Refusal::TypeUnknown),
        "UK GDPR art. 5(1)(c)",
        "the record type is not registered; see the record types that `GetLedger` shows";
    FieldGroupUnknown "FIELD_GROUP_UNKNOWN" Some(Refusal::GroupUnknown),
        "UK GDPR art. 5(1)(c)",
        "the record type has no such field group; see the record types that `GetLedger` shows";
    FlowCount "FLOW_COUNT" Some(Refusal::FlowInvalid),
        "ICO data sharing code, data items",
        "an agreement has 1 to 64 flows, each with an id of its own";
    FlowPartyDiffers "FLOW_PARTY_DIFFERS" Some(Refusal::FlowInvalid),
        "G5, study S89-95; ICO data sharing code, roles",
        "a flow goes from one party to other parties";
    BasisNotForKind "BASIS_NOT_FOR_KIND" Some(Refusal::BasisNotForKind),
        "UK GDPR art. 6(1); DUAA 2025 s. 70",
        "this kind of agency may not rely on this lawful basis; a public authority uses its duty or task";
    LegalPowerMissing "LEGAL_POWER_MISSING" Some(Refusal::LegalPowerMissing),
        "UK GDPR art. 6(3)",
        "a legal obligation, a public task and a statutory consent name their power; name it";
    SpecialConditionMissing "SPECIAL_CONDITION_MISSING" Some(Refusal::SpecialConditionMissing),
        "UK GDPR art. 9(2); DPA 2018 sch. 1",
        "a group holds special category data and the flow names no condition; name it";
    GateMismatch "GATE_MISMATCH" Some(Refusal::GateMismatch),
        "GIRFEC Practice Guidance 4; UK GDPR art. 7",
        "consent as the basis needs a consent gate, and no consent is asked where the sharing happens anyway";
    RegimeNotForKind "REGIME_NOT_FOR_KIND" Some(Refusal::GatewayMissing),
        "DPA 2018 s. 30 and sch. 7",
        "only a competent authority shares under part 3; name the uk gdpr";
    GatewayMissing "GATEWAY_MISSING" Some(Refusal::GatewayMissing),
        "DPA 2018 s. 36(4)",
        "data cross between part 3 and the uk gdpr; name the power that is the gateway";
    ExpiryInvalid "EXPIRY_INVALID" Some(Refusal::ExpiryInvalid),
        "ICO data sharing code, review; G14, study S355",
        "the end must lie in the future, at most ten years away";
    PurposeMissing "PURPOSE_MISSING" None,
        "G8, study S242-244; UK GDPR art. 5(1)(b)",
        "name the one purpose for which the records are shared";
    ExpiryMissing "EXPIRY_MISSING" None,
        "ICO data sharing code, review; G14, study S355",
        "say when the agreement ends by itself, at most ten years from now";
    PartyUnnamed "PARTY_UNNAMED" None,
        "G5, study S89-95; ICO data sharing code, roles",
        "name the agency that is this party";
    PartyKindMissing "PARTY_KIND_MISSING" None,
        "UK GDPR art. 6(1); DUAA 2025 s. 70",
        "say which kind of body the party is: it limits the bases that it may rely on";
    PartyKeyMissing "PARTY_KEY_MISSING" None,
        "G1, study S355",
        "name the key by which the party approves, as `GetAgency` shows it";
    FlowUnnamed "FLOW_UNNAMED" None,
        "ICO data sharing code, data items",
        "give the flow an id of its own";
    RecordTypeMissing "RECORD_TYPE_MISSING" None,
        "ICO data sharing code, data items; UK GDPR art. 5(1)(c)",
        "name the type of record that flows";
    FlowPublisherMissing "FLOW_PUBLISHER_MISSING" None,
        "G5, study S89-95; ICO data sharing code, roles",
        "name the party that publishes";
    FlowRecipientsMissing "FLOW_RECIPIENTS_MISSING" None,
        "G5, study S89-95; UK GDPR art. 5(1)(b)",
        "name the parties that receive";
    FieldGroupsMissing "FIELD_GROUPS_MISSING" None,
        "UK GDPR art. 5(1)(c)",
        "name the field groups that are shared, no more than the purpose needs";
    BasisMissing "BASIS_MISSING" None,
        "UK GDPR art. 6(1)",
        "name the lawful basis of the sharing";
    GateMissing "GATE_MISSING" None,
        "GIRFEC Practice Guidance 4; UK GDPR art. 7",
        "say which consent the flow waits for, or that it waits for none";
    CaseloadRuleMissing "CASELOAD_RULE_MISSING" None,
        "UK GDPR art. 5(1)(b) and (c)",
        "say whether the flow reaches every client or only those whom the recipient serves";
    EmergencyTermsMissing "EMERGENCY_TERMS_MISSING" None,
        "National Guidance for Child Protection 1.129; GIRFEC Practice Guidance 4, s. 13",
        "a flow for emergencies names the kinds of emergency and the offices that may use it";
    PartyRoleMissing "PARTY_ROLE_MISSING" None,
        "G5, study S89-95; ICO data sharing code, roles",
        "say whether the party publishes, receives or processes for others";
    PartyRoleDiffers "PARTY_ROLE_DIFFERS" None,
        "G5 and G6, study S89-95",
        "the role of the party is not what the flows say; every party has a part and no more than it";
    PartyContactMissing "PARTY_CONTACT_MISSING" None,
        "G5, study S89-95; ICO data sharing code, contacts",
        "name the party's contact for this agreement";
    FlowOwnerMissing "FLOW_OWNER_MISSING" None,
        "G12, study, civic centre projects",
        "name the one party that answers for the flow";
    NecessityMissing "NECESSITY_MISSING" None,
        "[2016] UKSC 51; UK GDPR art. 5(1)(c)",
        "the sharing does not rest on consent: state why it is necessary and proportionate";
    ConsentReasonMissing "CONSENT_REASON_MISSING" None,
        "UK GDPR recital 43",
        "a public authority relies on consent: state why it can be given freely";
    RegimeMissing "REGIME_MISSING" None,
        "DPA 2018 part 3",
        "say whether the publisher shares under the uk gdpr or under part 3";
    OperatorTermsMissing "OPERATOR_TERMS_MISSING" None,
        "UK GDPR art. 28(3)",
        "name the terms under which the operator of the exchange processes";
    ControllersMissing "CONTROLLERS_MISSING" None,
        "UK GDPR art. 26",
        "say whether parties are controllers jointly or each for itself";
    JointControllersDiffer "JOINT_CONTROLLERS_DIFFER" None,
        "UK GDPR art. 26(1)",
        "name the joint controllers, two or more of the parties, exactly if there are any";
    JointArrangementMissing "JOINT_ARRANGEMENT_MISSING" None,
        "UK GDPR art. 26(1)",
        "name the arrangement between the joint controllers";
    RightsContactMissing "RIGHTS_CONTACT_MISSING" None,
        "ICO data sharing code, rights; UK GDPR art. 12(2)",
        "name the one party that people turn to about their rights";
    RightsProcedureMissing "RIGHTS_PROCEDURE_MISSING" None,
        "ICO data sharing code, rights; UK GDPR arts. 15 to 22",
        "name the procedure by which people exercise their rights";
    CorrectionDaysMissing "CORRECTION_DAYS_MISSING" None,
        "UK GDPR arts. 16 and 19; ICO data sharing code, quality",
        "say within how many days, 1 to 90, an error is corrected and told";
    QualityRulesMissing "QUALITY_RULES_MISSING" None,
        "UK GDPR art. 5(1)(d); ICO data sharing code, quality",
        "name the rules of quality";
    RetentionMissing "RETENTION_MISSING" None,
        "UK GDPR art. 5(1)(e); ICO data sharing code, retention",
        "say for each type of record that flows, once, how long it is kept, 1 to 1,200 months, and what happens then";
    RetentionNotShared "RETENTION_NOT_SHARED" None,
        "UK GDPR art. 5(1)(e)",
        "no flow shares this type of record; leave its retention out";
    SecurityMissing "SECURITY_MISSING" None,
        "UK GDPR art. 32; ICO data sharing code, security",
        "name the standard of security that every party meets";
    DpiaMissing "DPIA_MISSING" None,
        "UK GDPR art. 35; GIRFEC Practice Guidance 4",
        "name the impact assessment: the data are of children or of a special category";
    DpiaDateMissing "DPIA_DATE_MISSING" None,
        "UK GDPR art. 35(11)",
        "say when the impact assessment was made, in the past";
    ReviewDateMissing "REVIEW_DATE_MISSING" None,
        "G14, study S355; ICO data sharing code, review",
        "say when the agreement is reviewed next, before its end";
    ReviewCadenceMissing "REVIEW_CADENCE_MISSING" None,
        "G14, study S355",
        "say after how many months, 1 to 36, it is reviewed again";
    AtExpiryMissing "AT_EXPIRY_MISSING" None,
        "UK GDPR arts. 18(2) and 21; ICO data sharing code, termination",
        "say what happens when the end comes, to flows for safeguarding above all";
    ReportingBodyMissing "REPORTING_BODY_MISSING" None,
        "G4, study S67",
        "name the party to which the partnership reports";
    ReportingCadenceMissing "REPORTING_CADENCE_MISSING" None,
        "G4, study S67",
        "say after how many months, 1 to 12, it reports";
    IncidentContactMissing "INCIDENT_CONTACT_MISSING" None,
        "UK GDPR art. 33; ICO data sharing code, incidents",
        "name the party that hears of an incident first";
    JoiningMissing "JOINING_MISSING" None,
        "ICO data sharing code, joining",
        "say what a party that joins later gets";
    LeavingMissing "LEAVING_MISSING" None,
        "ICO data sharing code, leaving",
        "say how many days, 1 to 365, before it leaves a party says so";
    TerminationMissing "TERMINATION_MISSING" None,
        "ICO data sharing code, termination; UK GDPR art. 28(3)(g)",
        "say what becomes of received records when the agreement ends";
    IndicatorMissing "INDICATOR_MISSING" None,
        "G3, study S89 and S246",
        "monitoring begins with the sharing: attach 1 to 32 indicators, each with an id of its own";
    IndicatorIncomplete "INDICATOR_INCOMPLETE" None,
        "G3 and G13, study S89, S99 and S246",
        "an indicator has a measure, a baseline, a target, an owner among the parties and a date in the future";
    EmergencyFlowUnfit "EMERGENCY_FLOW_UNFIT" None,
        "National Guidance for Child Protection 1.129; GIRFEC Practice Guidance 4, s. 13",
        "a flow for emergencies waits for no consent and no caseload, and does not only count";
    NamedPartyDiffers "NAMED_PARTY_DIFFERS" None,
        "G5, study S89-95",
        "whoever answers for something is a party of the agreement";
}
