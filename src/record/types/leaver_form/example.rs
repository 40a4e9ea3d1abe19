//! An invented leaver, for templates, documentation and tests. No such person lives.

use crate::pb::record::v1::{
    Article6Basis, Article9Condition, LawfulBasis, LeaverForm, LegalPower,
    leaver_form::{
        Answer, Channel, Contact, Core, Education, Identity, Intention, OfferStatus, Risk,
        RiskBasis, Route, SexScheme, SpecialSupport, StaffRole, Stage, Status, StatutoryLeaveType,
        Support, SupportCategory,
    },
};

/// A valid form of an invented young person who plans to leave an Inverclyde school on 31 May 2027. The telephone numbers
/// are of the range that Ofcom keeps for drama, the addresses of a domain that RFC 2606 reserves.
pub fn example() -> LeaverForm {
    LeaverForm {
        core: Some(Core {
            form_id: "0b6c8a5e-6d0f-4d57-9c39-3f0f4b6f2a11".to_owned(),
            form_date: "2026-11-02".to_owned(),
            status: Status::Planned.into(),
            ..Core::default()
        }),
        identity: Some(Identity {
            scn: "051234561".to_owned(),
            source_local_id: "IC-2027-0001".to_owned(),
            forename: "Mòrag".to_owned(),
            surname: "O'Example".to_owned(),
            known_as: "Mo".to_owned(),
            date_of_birth: "2011-06-15".to_owned(),
            recorded_sex: "F".to_owned(),
            recorded_sex_scheme: SexScheme::SchoolSystem.into(),
            ..Identity::default()
        }),
        contact: Some(Contact {
            address_lines: vec!["1 Example Street".to_owned(), "Greenock".to_owned()],
            postcode: "PA15 1LY".to_owned(),
            phone: "01632960001".to_owned(),
            email: "mo@example.org".to_owned(),
            preferred_contact: Channel::Text.into(),
            language: "en".to_owned(),
            interpreter_needed: Answer::No.into(),
            ..Contact::default()
        }),
        education: Some(Education {
            school_seed_code: "8999991".to_owned(),
            stage: Stage::S4.into(),
            council_code: "S12000018".to_owned(),
            statutory_leave_type: StatutoryLeaveType::Summer.into(),
            anticipated_leave_date: "2027-05-31".to_owned(),
            ..Education::default()
        }),
        intention: Some(Intention {
            preferred_routes: vec![
                Route::FurtherEducation.into(),
                Route::ModernApprenticeship.into(),
            ],
            preferred_occupations: vec!["5434".to_owned()],
            offer_status: OfferStatus::Applied.into(),
            offer_provider: "west-college".to_owned(),
            offer_start_date: "2027-08-16".to_owned(),
        }),
        support: Some(Support {
            risk: Risk::Low.into(),
            risk_basis: RiskBasis::RiskMatrix.into(),
            risk_assessor_role: StaffRole::GuidanceTeacher.into(),
            young_carer: Answer::NotStated.into(),
            young_parent: Answer::No.into(),
            lead_worker_role: StaffRole::KeyWorker.into(),
            lead_worker_agency: "inverclyde-council".to_owned(),
            lead_worker_phone: "01632960002".to_owned(),
            ..Support::default()
        }),
        special_support: Some(SpecialSupport {
            additional_support_needs: Answer::Yes.into(),
            coordinated_support_plan: Answer::No.into(),
            categories: vec![SupportCategory::Dyslexia.into()],
            ..SpecialSupport::default()
        }),
        lawful_basis: lawful_basis(),
        ..LeaverForm::default()
    }
}

fn lawful_basis() -> Vec<LawfulBasis> {
    let row = |group: &str| LawfulBasis {
        group: group.to_owned(),
        article_6: Article6Basis::LegalObligation.into(),
        legal_power: LegalPower::Post16Order2014.into(),
        notice_version: "leavers-2026.1".to_owned(),
        ..LawfulBasis::default()
    };
    let mut rows: Vec<_> =
        ["core", "identity", "contact", "education", "intention", "support"].map(row).into();
    // Skills Development Scotland is told by duty, everybody else by consent.
    rows.push(LawfulBasis {
        article_9: Article9Condition::SubstantialPublicInterest.into(),
        ..row("support-special")
    });
    rows.push(LawfulBasis {
        article_6: Article6Basis::Consent.into(),
        article_9: Article9Condition::ExplicitConsent.into(),
        legal_power: LegalPower::AdditionalSupportAct2004.into(),
        ..row("support-special")
    });
    rows
}
