//! The law: the rules that a decision rests on, each by a name of its own and with the act, guidance or study behind it.
//!
//! Every state applies all of them. A state that leaves one out exists for tests alone: what it would decide shows that the
//! rule, and nothing else, decides (`tests/policies`). No command, row or caller can make one, `tests/it/tidy.rs` holds that
//! this program never does, and a state that is loaded from rows applies them all. What an agreement must hold has a
//! catalogue of its own, [`Gap`].

use crate::machine::{
    rules::agreement::gap::Gap,
    state::{
        State,
        agreement::{Agreement, Status},
    },
};

macro_rules! rules {
    ($($name:ident $id:literal $source:literal $meaning:literal;)*) => {
        /// A rule that a decision rests on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {$(
            #[doc = $meaning]
            $name,
        )*}

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name, in upper snake case.
            pub const fn id(self) -> &'static str {
                match self {$( Self::$name => $id, )*}
            }

            /// The law, guidance or line of the study that it comes from.
            pub const fn source(self) -> &'static str {
                match self {$( Self::$name => $source, )*}
            }

            /// What it says.
            pub const fn meaning(self) -> &'static str {
                match self {$( Self::$name => $meaning, )*}
            }
        }
    };
}

rules! {
    FlowPermits "FLOW_PERMITS"
        "UK GDPR art. 6"
        "what a flow of an agreement in force shares may leave";
    RecipientNamed "RECIPIENT_NAMED"
        "G5, study S89-95; UK GDPR art. 5(1)(b)"
        "a flow shares with the recipients that it names and with nobody else";
    GroupsNamed "GROUPS_NAMED"
        "UK GDPR art. 5(1)(c)"
        "a flow shares the field groups that it names and no other";
    AllApproved "ALL_APPROVED"
        "G1 and G2, study S355 and S240"
        "nothing flows before every party has approved";
    AgreementEnds "AGREEMENT_ENDS"
        "G14, study S355; ICO data sharing code, termination"
        "an agreement that has ended, by a party or by its date, shares nothing";
    SafeguardingGoesOn "SAFEGUARDING_GOES_ON"
        "UK GDPR arts. 18(2) and 21"
        "where the agreement says so, flows for safeguarding go on for a while after its end";
    StatisticsOnly "STATISTICS_ONLY"
        "study S148 and S204"
        "a flow that only counts releases no record";
    InForce "IN_FORCE"
        "UK GDPR art. 32"
        "nothing goes from or to an agency that is suspended";
    FlowsSuspended "FLOWS_SUSPENDED"
        "G1, study S355"
        "any party suspends its own flows alone and at once";
    OnePurpose "ONE_PURPOSE"
        "G8, study S242-244; UK GDPR art. 5(1)(b)"
        "a record leaves for the one purpose of its agreement";
    FromActivationOn "FROM_ACTIVATION_ON"
        "G2, study S240; study ARBD outcomes (late-joining agency)"
        "a flow shares what is published from its beginning on";
    ApprovedBackfill "APPROVED_BACKFILL"
        "G14, study S355; study ARBD outcomes (late-joining agency)"
        "a flow reaches back where every party approved that it does";
    KnownClient "KNOWN_CLIENT"
        "UK GDPR art. 5(1)(b) and (c)"
        "where the flow says so, a recipient reaches only clients of its confirmed caseload";
    DutyNeedsNoConsent "DUTY_NEEDS_NO_CONSENT"
        "Post-16 Education (Scotland) Act 2013 s.20; SSI 2014/116"
        "where sharing does not depend on consent none is waited for, and a refusal does not stop it";
    ConsentNeeded "CONSENT_NEEDED"
        "Education (Additional Support for Learning) (Scotland) Act 2004 s.13; UK GDPR art. 6(1)(a)"
        "a flow that waits for a consent shares nothing without it";
    ConsentNamesRecipient "CONSENT_NAMES_RECIPIENT"
        "ICO guide to consent; UK GDPR art. 7"
        "a consent opens for the recipients that it names, and for no party that joins later";
    ConsentNamesGroup "CONSENT_NAMES_GROUP"
        "UK GDPR art. 7; GDPR recital 32"
        "a consent opens the field groups that it names";
    ConsentOfPublisher "CONSENT_OF_PUBLISHER"
        "ICO guide to consent; UK GDPR art. 7"
        "a consent is about the records of the controller that it names";
    ConsentFitsGate "CONSENT_FITS_GATE"
        "Education (Additional Support for Learning) (Scotland) Act 2004 s.13; GIRFEC Practice Guidance 4"
        "a consent of one kind does not open a flow that waits for another";
    ConsentPurpose "CONSENT_PURPOSE"
        "UK GDPR arts. 5(1)(b) and 6(1)(a)"
        "a consent opens flows of the purposes that it was given for";
    RefusalCounts "REFUSAL_COUNTS"
        "UK GDPR art. 7; GDPR recital 42"
        "a refusal outranks every consent before it";
    WithdrawalCounts "WITHDRAWAL_COUNTS"
        "UK GDPR art. 7(3)"
        "a withdrawal closes what the consent opened";
    LastWord "LAST_WORD"
        "UK GDPR art. 7; ICO guide to consent"
        "of everything said about consent the last counts, so a later consent opens again";
    ConsentExpires "CONSENT_EXPIRES"
        "ISO/IEC TS 27560:2023; ICO guide to consent"
        "a consent ends on its date";
    ReviewDue "REVIEW_DUE"
        "DPA 2018 s.208; Children (Scotland) Act 1995 s.2(7)"
        "where somebody else speaks for the client by now, the consent waits for them";
    RightsLost "RIGHTS_LOST"
        "Children (Scotland) Act 1995 s.11"
        "what a person granted who is found to have no rights is invalid";
    DisputeWithholds "DISPUTE_WITHHOLDS"
        "Children (Scotland) Act 1995 s.2(2) and s.6"
        "where one who speaks for the client grants and another objects, nothing leaves until the owner decides";
    OwnerDecides "OWNER_DECIDES"
        "Children (Scotland) Act 1995 s.6; UNCRC (Incorporation) (Scotland) Act 2024, article 12"
        "an objection that the owner of the records sets aside no longer counts";
    ObjectionUpheld "OBJECTION_UPHELD"
        "Children (Scotland) Act 1995 s.6; UNCRC (Incorporation) (Scotland) Act 2024, article 12"
        "an objection that the owner of the records upholds outranks the others' consent";
    SpeaksAtAge "SPEAKS_AT_AGE"
        "DPA 2018 s.208; Education (Additional Support for Learning) (Scotland) Act 2004 s.13"
        "the client speaks from 12, or once over school age where the statute asks a parent; before that somebody else does";
    AssessedCompetent "ASSESSED_COMPETENT"
        "DPA 2018 s.208"
        "a child under 12 who was assessed as competent speaks for itself";
    AssessedIncapable "ASSESSED_INCAPABLE"
        "DPA 2018 s.208; Adults with Incapacity (Scotland) Act 2000"
        "where incapacity was assessed, a representative speaks";
    AuthorityStated "AUTHORITY_STATED"
        "ISO/IEC TS 27560:2023; Children (Scotland) Act 1995 s.2"
        "whoever speaks for a client has authority that was seen or stated";
    AuthorityKnown "AUTHORITY_KNOWN"
        "Children (Scotland) Act 1995 s.2"
        "authority that is not known is none";
    MandateFromSixteen "MANDATE_FROM_SIXTEEN"
        "Children (Scotland) Act 1995 s.2(7)"
        "from 16 somebody else speaks under an order or power alone";
    OrderSpeaks "ORDER_SPEAKS"
        "Adults with Incapacity (Scotland) Act 2000"
        "an order or power lets somebody else speak, whatever the age";
    ViewRecorded "VIEW_RECORDED"
        "UNCRC (Incorporation) (Scotland) Act 2024, article 12; 2004 Act s.13"
        "where a parent consents under the 2004 act the child's own view is recorded";
    ReviewStated "REVIEW_STATED"
        "DPA 2018 s.208; Children (Scotland) Act 1995 s.2(7)"
        "a consent of somebody else states when it is to be asked for anew";
    WithoutRights "WITHOUT_RIGHTS"
        "Children (Scotland) Act 1995 s.11"
        "a person recorded as without rights does not grant";
    Retracted "RETRACTED"
        "UK GDPR arts. 5(1)(d) and 19"
        "a record that was taken back leaves no more";
    LatestVersion "LATEST_VERSION"
        "UK GDPR art. 5(1)(d)"
        "what leaves of a record is its latest version, whatever was asked for";
    RecallFirst "RECALL_FIRST"
        "UK GDPR art. 19"
        "nothing more about a client leaves to whoever has a recall about that client and was not told yet";
    PublisherNarrows "PUBLISHER_NARROWS"
        "UK GDPR arts. 24 and 25"
        "a policy of the publisher's withholds what an agreement would share";
    RecipientNarrows "RECIPIENT_NARROWS"
        "UK GDPR arts. 5(1)(c) and 25"
        "a policy of the recipient's keeps away what it does not want to hold";
}

/// The one thing that a state of a test leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// A rule of decisions.
    Rule(Rule),
    /// An item that agreements are held to.
    Gap(Gap),
}

impl LeftOut {
    /// What has this name, whichever kind it is.
    pub fn named(id: &str) -> Option<Self> {
        let rule = Rule::ALL.iter().find(|rule| rule.id() == id).map(|rule| Self::Rule(*rule));
        rule.or_else(|| Gap::ALL.iter().find(|gap| gap.code() == id).map(|gap| Self::Gap(*gap)))
    }

    /// The law, guidance or line of the study that it comes from.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Rule(rule) => rule.source(),
            Self::Gap(gap) => gap.rule(),
        }
    }
}

impl State {
    /// A state before the Genesis that applies all rules but one. For tests: see the top of this file.
    pub fn empty_without(left_out: LeftOut) -> Self {
        Self { left_out: Some(left_out), ..Self::empty() }
    }

    /// Whether the state applies a rule: always, but in a test that leaves this one out.
    pub(in crate::machine) fn applies(&self, rule: Rule) -> bool {
        self.left_out != Some(LeftOut::Rule(rule))
    }

    /// Whether agreements are held to this item: always, but in a test that leaves this one out.
    pub(in crate::machine) fn asks_for(&self, gap: Gap) -> bool {
        self.left_out != Some(LeftOut::Gap(gap))
    }
}

/// Whether a version that is not in force counts as if it were, because a test leaves out what keeps it from that.
pub(in crate::machine) fn counts_anyway(state: &State, agreement: &Agreement) -> bool {
    match agreement.status {
        Status::Draft | Status::Proposed => !state.applies(Rule::AllApproved),
        Status::Ended => !state.applies(Rule::AgreementEnds),
        Status::Active | Status::Declined | Status::Replaced => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own_and_a_source() {
        let names = Rule::ALL.iter().map(|rule| rule.id());
        let names: BTreeSet<_> = names.chain(Gap::ALL.iter().map(|gap| gap.code())).collect();
        assert_eq!(names.len(), Rule::ALL.len() + Gap::ALL.len());
        assert!(Rule::ALL.iter().all(|rule| !rule.source().is_empty()));
        assert_eq!(LeftOut::named("IN_FORCE"), Some(LeftOut::Rule(Rule::InForce)));
        assert_eq!(LeftOut::named("DPIA_MISSING"), Some(LeftOut::Gap(Gap::DpiaMissing)));
        assert_eq!(LeftOut::named("in_force"), None);
    }
}
