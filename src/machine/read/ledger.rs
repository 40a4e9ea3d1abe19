//! The ledger as a caller sees it: which entries are its own, and what they are about by its own names.

use crate::{
    machine::{
        Command,
        command::{
            Actor, Kind,
            agency::AgencyCommand,
            agreement::AgreementCommand,
            case::CaseCommand,
            client::ClientCommand,
            consent::ConsentCommand,
            dispute::DisputeCommand,
            emergency::{EmergencyCommand, Read},
            erasure::{ErasureCommand, Scope},
            policy::PolicyCommand,
            recall::RecallCommand,
            record::RecordCommand,
            subscription::SubscriptionCommand,
            succession::SuccessionCommand,
            words::OpenWords,
        },
        read::Viewer,
        rules::{exchange::derived_from, record::record_id},
        state::{State, client::AliasKind, record::RecordType, words::Matter},
    },
    model::id::{
        AgencyId, AgreementId, AliasId, CaseId, ConsentId, DisputeId, EmergencyId, ErasureId,
        HoldId, HolderId, PolicyId, RecallId, RecordId, RequestId, SubscriptionId, SuccessionId,
    },
};

/// Something that an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// An agency.
    Agency(AgencyId),
    /// An agreement.
    Agreement(AgreementId),
    /// A client, by the viewer's name.
    Client(AliasId),
    /// A version of a record.
    Record(RecordId),
    /// A consent or refusal.
    Consent(ConsentId),
    /// A recall.
    Recall(RecallId),
    /// A dispute.
    Dispute(DisputeId),
    /// A case.
    Case(CaseId),
    /// An erasure.
    Erasure(ErasureId),
    /// A legal hold.
    Hold(HoldId),
    /// Emergency access.
    Emergency(EmergencyId),
    /// A person who speaks for a client, or must not.
    Holder(HolderId),
    /// A succession.
    Succession(SuccessionId),
    /// A policy of an agency's.
    Policy(AgencyId, PolicyId),
    /// A subscription of an agency's.
    Subscription(AgencyId, SubscriptionId),
}

/// The record types in force, by name.
pub fn record_types(state: &State) -> impl Iterator<Item = &RecordType> {
    let numbers = state.indexes().type_numbers.values();
    numbers.filter_map(|number| state.record_type(*number))
}

/// Whether the viewer asked for a command; the operator's are the node's own, too.
pub fn asked_for(state: &State, viewer: Viewer, command: &Command) -> bool {
    match (viewer, &command.actor) {
        (Viewer::Agency(own), Actor::Agency(id)) => state.agency_number(id) == Some(own),
        (Viewer::Operator, Actor::Operator | Actor::Node) => true,
        (Viewer::Agency(_), Actor::Operator | Actor::Node)
        | (Viewer::Operator, Actor::Agency(_))
        | (Viewer::Unregistered, _) => false,
    }
}

/// What a command of the viewer's own is about. For the node's own commands nothing is named.
pub fn resources(state: &State, command: &Command) -> Vec<Resource> {
    let own = match &command.actor {
        Actor::Agency(id) => id,
        Actor::Operator => return of_operator(&command.kind),
        Actor::Node => return Vec::new(),
    };
    let Some(number) = state.agency_number(own) else { return Vec::new() };
    match &command.kind {
        Kind::Agency(_) => vec![Resource::Agency(own.clone())],
        Kind::Agreement(kind) => vec![Resource::Agreement(agreement(kind).clone())],
        Kind::Consent(kind) => match kind {
            ConsentCommand::Record { scope, .. } | ConsentCommand::Refuse { scope, .. } => {
                let asked = (own.as_str(), command.request_id);
                let id = ConsentId::derived(&derived_from("concordat.consent.v1", state, asked));
                vec![Resource::Consent(id), Resource::Client(scope.client)]
            }
            ConsentCommand::Withdraw { consent, .. }
            | ConsentCommand::Resolve { refusal: consent, .. } => vec![Resource::Consent(*consent)],
            ConsentCommand::Holder { client, .. } => vec![Resource::Client(*client)],
        },
        Kind::Policy(PolicyCommand::Put { policy, .. } | PolicyCommand::Remove { policy }) => {
            vec![Resource::Policy(own.clone(), policy.clone())]
        }
        Kind::Client(kind) => match kind {
            ClientCommand::Add { client, .. } => {
                let alias = state.alias(number, *client, AliasKind::Own);
                alias.map(Resource::Client).into_iter().collect()
            }
            ClientCommand::OpenCaseload { client } => vec![Resource::Client(*client)],
            ClientCommand::ConfirmCaseload { client, agency }
            | ClientCommand::EndCaseload { client, agency } => {
                vec![Resource::Client(*client), Resource::Agency(agency.clone())]
            }
        },
        Kind::Record(RecordCommand::Publish(publish)) => {
            let record = record_id(state, own.as_str(), command.request_id);
            vec![Resource::Record(record), Resource::Client(publish.client)]
        }
        Kind::Record(RecordCommand::Open(open)) => vec![Resource::Record(open.record)],
        Kind::Subscription(kind) => of_subscription(own, kind),
        Kind::Recall(kind) => match kind {
            RecallCommand::Retract { record, .. } => vec![Resource::Record(*record)],
            RecallCommand::Acknowledge { recall, .. } => vec![Resource::Recall(*recall)],
            // The node's own.
            RecallCommand::HandOver { .. } => Vec::new(),
        },
        Kind::Dispute(kind) => match kind {
            DisputeCommand::Open { record, .. } => {
                let asked = (own.as_str(), command.request_id);
                let id = DisputeId::derived(&derived_from("concordat.dispute.v1", state, asked));
                vec![Resource::Dispute(id), Resource::Record(*record)]
            }
            DisputeCommand::Answer { dispute, .. } => vec![Resource::Dispute(*dispute)],
        },
        Kind::Case(kind) => of_case(state, (own, command.request_id), kind),
        Kind::Erasure(kind) => of_erasure(state, (own, command.request_id), kind),
        Kind::Emergency(kind) => match kind {
            EmergencyCommand::Open(_) => {
                let asked = (own.as_str(), command.request_id);
                let digest = derived_from("concordat.emergency.v1", state, asked);
                vec![Resource::Emergency(EmergencyId::derived(&digest))]
            }
            EmergencyCommand::Read(Read { emergency, .. })
            | EmergencyCommand::Review { emergency, .. } => vec![Resource::Emergency(*emergency)],
            EmergencyCommand::Authorise { .. } | EmergencyCommand::NoteRefused { .. } => Vec::new(),
        },
        Kind::Words(OpenWords { matter, .. }) => vec![of_matter(*matter)],
        Kind::Succession(kind) => of_succession(state, (own, command.request_id), kind),
        Kind::Exchange(_) => Vec::new(),
    }
}

fn of_succession(
    state: &State,
    (own, request): (&AgencyId, RequestId),
    command: &SuccessionCommand,
) -> Vec<Resource> {
    let id = match command {
        SuccessionCommand::Propose { .. } => {
            let asked = (own.as_str(), request);
            SuccessionId::derived(&derived_from("concordat.succession.v1", state, asked))
        }
        SuccessionCommand::Approve { succession, .. }
        | SuccessionCommand::Decline { succession, .. } => *succession,
    };
    vec![Resource::Succession(id)]
}

fn of_case(
    state: &State,
    (own, request): (&AgencyId, RequestId),
    command: &CaseCommand,
) -> Vec<Resource> {
    match command {
        CaseCommand::Open(open) => {
            let asked = (own.as_str(), request);
            let id = CaseId::derived(&derived_from("concordat.case.v1", state, asked));
            [Resource::Case(id)].into_iter().chain(open.client.map(Resource::Client)).collect()
        }
        CaseCommand::HoldBack { case, record, .. } => {
            vec![Resource::Case(*case), Resource::Record(*record)]
        }
        CaseCommand::Decide(decide) => vec![Resource::Case(decide.case)],
        CaseCommand::Advance { case, .. } | CaseCommand::Report { case, .. } => {
            vec![Resource::Case(*case)]
        }
    }
}

fn of_erasure(
    state: &State,
    (own, request): (&AgencyId, RequestId),
    command: &ErasureCommand,
) -> Vec<Resource> {
    let of = |domain: &str| derived_from(domain, state, (own.as_str(), request));
    let covered = |scope: &Scope| match scope {
        Scope::Client(alias) => Resource::Client(*alias),
        Scope::Record(record) => Resource::Record(*record),
    };
    match command {
        ErasureCommand::Erase { scope, .. } => {
            let id = ErasureId::derived(&of("concordat.erasure.v1"));
            vec![Resource::Erasure(id), covered(scope)]
        }
        ErasureCommand::PlaceHold { scope, .. } => {
            vec![Resource::Hold(HoldId::derived(&of("concordat.hold.v1"))), covered(scope)]
        }
        ErasureCommand::LiftHold { hold } => vec![Resource::Hold(*hold)],
        // The node's own.
        ErasureCommand::Rewrap { .. }
        | ErasureCommand::Complete { .. }
        | ErasureCommand::Dispose { .. } => Vec::new(),
    }
}

fn of_matter(matter: Matter) -> Resource {
    match matter {
        Matter::Case(id) => Resource::Case(id),
        Matter::Dispute(id) => Resource::Dispute(id),
        Matter::Emergency(id) => Resource::Emergency(id),
        Matter::Consent(id) => Resource::Consent(id),
        Matter::Holder(id) => Resource::Holder(id),
    }
}

fn of_operator(kind: &Kind) -> Vec<Resource> {
    let agency = match kind {
        Kind::Agency(
            AgencyCommand::Invite { agency, .. }
            | AgencyCommand::Suspend { agency }
            | AgencyCommand::Resume { agency },
        ) => agency,
        Kind::Agency(AgencyCommand::Enrol { .. } | AgencyCommand::Rotate { .. })
        | Kind::Exchange(_)
        | Kind::Agreement(_)
        | Kind::Consent(_)
        | Kind::Policy(_)
        | Kind::Client(_)
        | Kind::Record(_)
        | Kind::Subscription(_)
        | Kind::Recall(_)
        | Kind::Dispute(_)
        | Kind::Case(_)
        | Kind::Erasure(_)
        | Kind::Emergency(_)
        | Kind::Words(_)
        | Kind::Succession(_) => return Vec::new(),
    };
    vec![Resource::Agency(agency.clone())]
}

fn agreement(command: &AgreementCommand) -> &AgreementId {
    match command {
        AgreementCommand::Draft { agreement, .. }
        | AgreementCommand::Propose { agreement, .. }
        | AgreementCommand::Approve { agreement, .. }
        | AgreementCommand::Decline { agreement, .. }
        | AgreementCommand::Suspend { agreement, .. }
        | AgreementCommand::Resume { agreement }
        | AgreementCommand::End { agreement } => agreement,
    }
}

fn of_subscription(own: &AgencyId, command: &SubscriptionCommand) -> Vec<Resource> {
    let subscription = match command {
        SubscriptionCommand::Create { subscription, .. }
        | SubscriptionCommand::Remove { subscription }
        | SubscriptionCommand::Seek { subscription, .. }
        | SubscriptionCommand::Acknowledge { subscription, .. } => subscription,
        // The node's own.
        SubscriptionCommand::Release(_) | SubscriptionCommand::NotSent { .. } => return Vec::new(),
    };
    vec![Resource::Subscription(own.clone(), subscription.clone())]
}
