//! What may lawfully stand together in a flow: basis, kind of agency, power, condition, gate and regime.
//!
//! Basis and gate are two things: the basis says why sharing is lawful, the gate which consent a release waits for.
//!
//! | Basis | Who may publish on it | Gates |
//! |---|---|---|
//! | consent, 6(1)(a) | anybody | data protection consent, statutory consent |
//! | legal obligation, 6(1)(c) | public bodies; names its power | none, statutory consent |
//! | vital interests, 6(1)(d) | anybody | none: a life does not wait for a form |
//! | public task, 6(1)(e) | public bodies; names its power | none, statutory consent, confidentiality |
//! | recognised legitimate interests, 6(1)(ea) | voluntary bodies | none, confidentiality |
//! | legitimate interests, 6(1)(f) | voluntary bodies | none, confidentiality |
//!
//! A condition of explicit consent (Article 9(2)(a)) needs a consent gate, and lets data protection consent stand with
//! 6(1)(e), 6(1)(ea) and 6(1)(f). A gate of statutory consent cites the statute that asks for it. The police share under DPA 2018
//! Part 3 or the UK GDPR; what goes from the one to the other passes by a power that is named.
//!
//! Sources: UK GDPR Articles 6 and 9; DPA 2018 s.30, s.36, Schedules 1 and 7; Data (Use and Access) Act 2025 s.70;
//! Education (Additional Support for Learning) (Scotland) Act 2004 s.13; GIRFEC Practice Guidance 4.

use crate::{
    machine::command::agreement::Flow,
    pb::ledger::v1::{AgencyKind, Gate, LawfulBasis, LegalPower, Regime, SpecialCondition},
};

/// What kinds of body a flow is between.
pub(super) struct Bodies {
    pub(super) publisher: AgencyKind,
    pub(super) recipients: Vec<AgencyKind>,
}

/// Whether a publisher of this kind may rely on the basis. Public authorities may not rely on legitimate interests in
/// their tasks (UK GDPR Article 6(1)), and a voluntary body has no public task or duty of its own.
pub(super) fn basis_for_kind(basis: LawfulBasis, kind: AgencyKind) -> bool {
    let voluntary = kind == AgencyKind::Voluntary;
    match basis {
        LawfulBasis::LegitimateInterests | LawfulBasis::RecognisedLegitimateInterests => voluntary,
        LawfulBasis::LegalObligation | LawfulBasis::PublicTask => !voluntary,
        LawfulBasis::Consent | LawfulBasis::VitalInterests => true,
        LawfulBasis::Unspecified => false,
    }
}

pub(super) fn power_named(flow: &Flow) -> bool {
    let needed = matches!(flow.basis, LawfulBasis::LegalObligation | LawfulBasis::PublicTask)
        || flow.gate == Gate::StatutoryConsent;
    !needed || flow.legal_power != LegalPower::Unspecified
}

pub(super) fn condition_named(flow: &Flow, special: bool) -> bool {
    !special || flow.special_condition != SpecialCondition::Unspecified
}

/// Whether basis, condition and gate may stand together. See the table at the top.
pub(super) fn gate_matches(flow: &Flow) -> bool {
    let explicit = flow.special_condition == SpecialCondition::ExplicitConsent;
    let task = matches!(
        flow.basis,
        LawfulBasis::PublicTask
            | LawfulBasis::LegitimateInterests
            | LawfulBasis::RecognisedLegitimateInterests
    );
    match flow.gate {
        Gate::None => flow.basis != LawfulBasis::Consent && !explicit,
        Gate::Confidentiality => task && !explicit,
        Gate::StatutoryConsent => {
            let asked = matches!(
                flow.basis,
                LawfulBasis::Consent | LawfulBasis::LegalObligation | LawfulBasis::PublicTask
            );
            // Of the published powers only this one asks for consent.
            asked && flow.legal_power == LegalPower::AdditionalSupport2004S13
        }
        Gate::DataProtectionConsent => flow.basis == LawfulBasis::Consent || (explicit && task),
        Gate::Unspecified => false,
    }
}

/// Whether a publisher of this kind may share under the regime: Part 3 is for competent authorities.
pub(super) fn regime_for_kind(regime: Regime, publisher: AgencyKind) -> bool {
    regime != Regime::LawEnforcement || publisher == AgencyKind::Police
}

/// Whether data that cross between Part 3 and the UK GDPR pass by a named power. They cross where the police share under
/// Part 3 with anybody else, and where anybody shares with the police.
pub(super) fn gateway_named(flow: &Flow, bodies: &Bodies) -> bool {
    let police = |kind: &AgencyKind| *kind == AgencyKind::Police;
    let out = flow.regime == Regime::LawEnforcement && !bodies.recipients.iter().all(police);
    let into = flow.regime != Regime::LawEnforcement && bodies.recipients.iter().any(police);
    !(out || into) || flow.gateway != LegalPower::Unspecified
}
