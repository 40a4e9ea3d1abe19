//! The callers table: every RPC and who may call it. What is not in it is denied.
//!
//! This is about kinds of caller only. Whose agreement, record or subscription it is, the machine decides. Source: the
//! `Callers:` line of each RPC in `proto/concordat/v1`.

/// Who may call an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Whoever shows a trusted certificate, known or not, suspended or not.
    AnyCertificate,
    /// A trusted certificate that belongs to nobody yet, or an agency that repeats its enrolment.
    Invited,
    /// An agency that is not suspended.
    Agency,
    /// An agency, suspended or not: the RPC only ever makes less flow.
    StoppingAgency,
    /// The operator.
    Operator,
    /// An agency that is not suspended, or the operator.
    AgencyOrOperator,
}

use Callers::{Agency, AgencyOrOperator, AnyCertificate, Invited, Operator, StoppingAgency};

/// The table, sorted by path.
const TABLE: &[(&str, Callers)] = &[
    ("/concordat.v1.AgencyService/EnrolAgency", Invited),
    ("/concordat.v1.AgencyService/GetAgency", AgencyOrOperator),
    ("/concordat.v1.AgencyService/InviteAgency", Operator),
    ("/concordat.v1.AgencyService/ListAgencies", AgencyOrOperator),
    ("/concordat.v1.AgencyService/ResumeAgency", Operator),
    ("/concordat.v1.AgencyService/RotateKeys", Agency),
    ("/concordat.v1.AgencyService/SuspendAgency", Operator),
    ("/concordat.v1.AgreementService/ApproveAgreement", Agency),
    ("/concordat.v1.AgreementService/CheckAgreement", Agency),
    ("/concordat.v1.AgreementService/DeclineAgreement", StoppingAgency),
    ("/concordat.v1.AgreementService/DraftAgreement", Agency),
    ("/concordat.v1.AgreementService/EndAgreement", StoppingAgency),
    ("/concordat.v1.AgreementService/GetAgreement", Agency),
    ("/concordat.v1.AgreementService/ListAgreements", Agency),
    ("/concordat.v1.AgreementService/PreviewAgreement", Agency),
    ("/concordat.v1.AgreementService/ProposeAgreement", Agency),
    ("/concordat.v1.AgreementService/ResumeFlows", Agency),
    ("/concordat.v1.AgreementService/SuspendFlows", StoppingAgency),
    ("/concordat.v1.CaseService/AdvanceCase", Agency),
    ("/concordat.v1.CaseService/DecideCase", StoppingAgency),
    ("/concordat.v1.CaseService/GetCase", Agency),
    ("/concordat.v1.CaseService/HoldBack", Agency),
    ("/concordat.v1.CaseService/ListCases", Agency),
    ("/concordat.v1.CaseService/MakeReport", Agency),
    ("/concordat.v1.CaseService/OpenCase", StoppingAgency),
    ("/concordat.v1.CaseloadService/AddClient", Agency),
    ("/concordat.v1.CaseloadService/ConfirmCaseload", Agency),
    ("/concordat.v1.CaseloadService/EndCaseload", StoppingAgency),
    ("/concordat.v1.CaseloadService/ListCaseload", Agency),
    ("/concordat.v1.CaseloadService/ListClaims", Agency),
    ("/concordat.v1.CaseloadService/OpenCaseload", Agency),
    ("/concordat.v1.ConsentService/GetConsent", Agency),
    ("/concordat.v1.ConsentService/GetConsentReceipt", Agency),
    ("/concordat.v1.ConsentService/ListConsents", Agency),
    ("/concordat.v1.ConsentService/ListHolders", Agency),
    ("/concordat.v1.ConsentService/RecordConsent", Agency),
    ("/concordat.v1.ConsentService/RecordHolder", Agency),
    ("/concordat.v1.ConsentService/RefuseConsent", StoppingAgency),
    ("/concordat.v1.ConsentService/ResolveConsent", Agency),
    ("/concordat.v1.ConsentService/WithdrawConsent", StoppingAgency),
    ("/concordat.v1.DisclosureService/GetRecordStatus", Agency),
    ("/concordat.v1.DisclosureService/ListDisclosures", Agency),
    ("/concordat.v1.DisposalService/EraseRecords", Agency),
    ("/concordat.v1.DisposalService/GetErasure", Agency),
    ("/concordat.v1.DisposalService/LiftHold", Agency),
    ("/concordat.v1.DisposalService/ListErasures", Agency),
    ("/concordat.v1.DisposalService/ListHolds", Agency),
    ("/concordat.v1.DisposalService/PlaceHold", Agency),
    ("/concordat.v1.DisputeService/AnswerDispute", Agency),
    ("/concordat.v1.DisputeService/ListDisputes", Agency),
    ("/concordat.v1.DisputeService/OpenDispute", Agency),
    ("/concordat.v1.EmergencyService/AuthoriseEmergencyOffices", Agency),
    ("/concordat.v1.EmergencyService/ListEmergencyAccess", Agency),
    ("/concordat.v1.EmergencyService/OpenEmergencyAccess", Agency),
    ("/concordat.v1.EmergencyService/ReadEmergencyRecords", Agency),
    ("/concordat.v1.EmergencyService/ReviewEmergencyAccess", Agency),
    ("/concordat.v1.ExchangeService/AcknowledgeRecords", Agency),
    ("/concordat.v1.ExchangeService/GetRecord", Agency),
    ("/concordat.v1.ExchangeService/PublishRecord", Agency),
    ("/concordat.v1.ExchangeService/PublishRecords", Agency),
    ("/concordat.v1.ExchangeService/PullRecords", Agency),
    ("/concordat.v1.ExchangeService/Subscribe", Agency),
    ("/concordat.v1.LedgerService/GetCheckpoint", Operator),
    ("/concordat.v1.LedgerService/GetConsistencyProof", Operator),
    ("/concordat.v1.LedgerService/GetInclusionProof", Operator),
    ("/concordat.v1.LedgerService/GetLedger", AnyCertificate),
    ("/concordat.v1.LedgerService/ListEntries", AgencyOrOperator),
    ("/concordat.v1.NoticeService/ListNotices", Agency),
    ("/concordat.v1.PolicyService/ExplainDecision", Agency),
    ("/concordat.v1.PolicyService/GetPolicy", Agency),
    ("/concordat.v1.PolicyService/ListPolicies", Agency),
    ("/concordat.v1.PolicyService/PutPolicy", Agency),
    ("/concordat.v1.PolicyService/RemovePolicy", Agency),
    ("/concordat.v1.RecallService/AcknowledgeRecall", Agency),
    ("/concordat.v1.RecallService/GetDisposalCertificate", Agency),
    ("/concordat.v1.RecallService/ListIssuedRecalls", Agency),
    ("/concordat.v1.RecallService/ListRecalls", Agency),
    ("/concordat.v1.RecallService/RetractRecord", StoppingAgency),
    ("/concordat.v1.SubscriptionService/CreateSubscription", Agency),
    ("/concordat.v1.SubscriptionService/GetSubscription", Agency),
    ("/concordat.v1.SubscriptionService/ListParked", Agency),
    ("/concordat.v1.SubscriptionService/ListSubscriptions", Agency),
    ("/concordat.v1.SubscriptionService/RemoveSubscription", Agency),
    ("/concordat.v1.SubscriptionService/SeekSubscription", Agency),
    ("/concordat.v1.SuccessionService/ApproveSuccession", Agency),
    ("/concordat.v1.SuccessionService/DeclineSuccession", StoppingAgency),
    ("/concordat.v1.SuccessionService/GetSuccession", Agency),
    ("/concordat.v1.SuccessionService/ListSuccessions", Agency),
    ("/concordat.v1.SuccessionService/ProposeSuccession", Agency),
    ("/concordat.v1.WordsService/ReadWords", Agency),
    ("/grpc.health.v1.Health/Check", AnyCertificate),
    ("/grpc.health.v1.Health/List", AnyCertificate),
    ("/grpc.health.v1.Health/Watch", AnyCertificate),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", AnyCertificate),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", AnyCertificate),
];

/// Who may call the RPC at `path`; `None` if nobody may.
pub fn of(path: &str) -> Option<Callers> {
    let row = TABLE.binary_search_by(|(known, _)| (*known).cmp(path)).ok()?;
    TABLE.get(row).map(|(_, callers)| *callers)
}

/// Every path of the table.
pub fn paths() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(path, _)| *path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_reflect::{DescriptorPool, MethodDescriptor};

    use super::*;
    use crate::pb;

    #[test]
    fn every_rpc_has_one_row_and_every_row_an_rpc() {
        let pool = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
        let described: BTreeSet<String> = pool
            .services()
            .flat_map(|service| {
                let name = service.full_name().to_owned();
                let path = move |method: MethodDescriptor| format!("/{name}/{}", method.name());
                service.methods().map(path).collect::<Vec<_>>()
            })
            .collect();
        let own = paths().filter(|path| path.starts_with("/concordat."));
        let listed: BTreeSet<String> = own.map(ToOwned::to_owned).collect();
        assert_eq!(described, listed);
    }

    #[test]
    fn the_table_is_sorted_and_names_nothing_twice() {
        assert!(TABLE.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn what_is_not_in_the_table_is_denied() {
        for path in ["", "/", "/concordat.v1.AgencyService/DropTables", "/grpc.health.v1.Health/"] {
            assert_eq!(of(path), None, "{path}");
        }
        assert_eq!(of("/concordat.v1.LedgerService/GetLedger"), Some(AnyCertificate));
    }

    #[test]
    fn the_table_says_what_the_protocol_says() {
        let sources = [
            include_str!("../../proto/concordat/v1/agency_service.proto"),
            include_str!("../../proto/concordat/v1/agreement_service.proto"),
            include_str!("../../proto/concordat/v1/case_service.proto"),
            include_str!("../../proto/concordat/v1/caseload_service.proto"),
            include_str!("../../proto/concordat/v1/consent_service.proto"),
            include_str!("../../proto/concordat/v1/disclosure_service.proto"),
            include_str!("../../proto/concordat/v1/disposal_service.proto"),
            include_str!("../../proto/concordat/v1/dispute_service.proto"),
            include_str!("../../proto/concordat/v1/emergency_service.proto"),
            include_str!("../../proto/concordat/v1/exchange_service.proto"),
            include_str!("../../proto/concordat/v1/ledger_service.proto"),
            include_str!("../../proto/concordat/v1/notice_service.proto"),
            include_str!("../../proto/concordat/v1/policy_service.proto"),
            include_str!("../../proto/concordat/v1/recall_service.proto"),
            include_str!("../../proto/concordat/v1/subscription_service.proto"),
            include_str!("../../proto/concordat/v1/succession_service.proto"),
            include_str!("../../proto/concordat/v1/words_service.proto"),
        ];
        let mut seen = 0;
        for source in sources {
            let service = source.split("\nservice ").nth(1).unwrap();
            let name = service.split(' ').next().unwrap();
            let mut stated = "";
            for line in service.lines() {
                if let Some(callers) = line.trim().strip_prefix("// Callers: ") {
                    stated = callers;
                }
                let Some(rpc) = line.trim().strip_prefix("rpc ") else { continue };
                let rpc = rpc.split('(').next().unwrap();
                let expected = match stated.trim_end_matches('.') {
                    "any" => AnyCertificate,
                    "operator" => Operator,
                    "agency, operator" => AgencyOrOperator,
                    "invited agency" => Invited,
                    other if other.ends_with("; suspended or not") => StoppingAgency,
                    other if other.starts_with("agency") => Agency,
                    other => panic!("{rpc}: {other}"),
                };
                assert_eq!(of(&format!("/concordat.v1.{name}/{rpc}")), Some(expected), "{rpc}");
                seen += 1;
            }
        }
        assert_eq!(seen, paths().filter(|path| path.starts_with("/concordat.")).count());
    }
}
