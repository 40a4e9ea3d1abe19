//! What becomes of a command: a receipt, or a refusal with a stable reason. Both are values and deterministic.
//!
//! A refusal is not a fault: it is the same on every node and on replay. The order of [`Refusal`] is its precedence:
//! where several apply, the one that stands first is given.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::rules::release::Released,
    model::{
        digest::Digest,
        id::{AliasId, ConsentId, RecordId},
    },
};

/// What becomes of a command.
pub type Outcome = Result<Receipt, Refusal>;

/// What a command that took effect gives its caller.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub enum Receipt {
    /// An answer that a repeated request gets again.
    Answer(Remembered),
    /// A record was published, or the same request had published it before.
    Published {
        /// The version's id.
        record: RecordId,
        /// The client, by the publisher's name for it.
        client: AliasId,
        /// The number of the version, from 1.
        version: u32,
    },
    /// Records were released; lines that were struck are left out.
    Released(Vec<Released>),
    /// One record was opened for one reader.
    Opened(Box<Released>),
}

/// An answer that is remembered with its request.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Remembered {
    /// It was done.
    Done,
    /// A version of an agreement stands as the request left it.
    Agreement {
        /// The version.
        version: u32,
        /// Its content hash.
        content_hash: Digest,
    },
    /// A client is known to the agency by this name.
    Client(AliasId),
    /// A consent or a refusal was recorded.
    Consent(ConsentId),
}

impl Receipt {
    /// The receipt that says no more than that it was done.
    pub const DONE: Self = Self::Answer(Remembered::Done);
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $reason:literal $message:literal;)*) => {
        /// Why a command was turned down, in order of precedence.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
        pub enum Refusal {$(
            $(#[$doc])*
            $name,
        )*}

        impl Refusal {
            /// Every refusal, in order of precedence.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable reason code. It is API and never renamed.
            pub const fn reason(self) -> &'static str {
                match self {$( Self::$name => $reason, )*}
            }

            /// What is wrong and what to do, in lower case and without a name.
            pub const fn message(self) -> &'static str {
                match self {$( Self::$name => $message, )*}
            }
        }
    };
}

refusals! {
    /// The bytes are malformed for a known version of the rules.
    Malformed "MALFORMED_COMMAND" "the command is malformed; build it from the published proto files";
    /// The ledger has its Genesis already, or the command comes before it.
    GenesisMisplaced "GENESIS_MISPLACED" "a ledger has one genesis, at its beginning; run `concordat init` on an empty directory";
    /// The actor is no agency of this exchange.
    AgencyUnknown "AGENCY_UNKNOWN" "no such agency takes part in this exchange; ask the operator for an invitation";
    /// The agency was invited and has not enrolled.
    AgencyNotEnrolled "AGENCY_NOT_ENROLLED" "the agency has not enrolled; enrol with the invitation first";
    /// The agency is suspended.
    AgencySuspended "AGENCY_SUSPENDED" "the agency is suspended; ask the operator";
    /// This kind of actor may not do this.
    ActorNotPermitted "ACTOR_NOT_PERMITTED" "this is not for this kind of caller; an agency must ask with its own certificate and key";
    /// The purpose is missing, or not one for which this is done.
    PurposeNotPermitted "PURPOSE_NOT_PERMITTED" "the purpose is not one for which this may be done; state the purpose of the agreement";
    /// The request id is not a UUIDv7, or too far from the present.
    RequestIdInvalid "REQUEST_ID_INVALID" "the request id is no UUIDv7 of the present; draw a new one";
    /// The request id was used for something else.
    RequestIdReused "REQUEST_ID_REUSED" "the request id was used with other content; draw a new one for a new request";
    /// The request id is older than what is remembered.
    RequestTooOld "REQUEST_TOO_OLD" "the request id is older than 30 days; ask what became of it, then draw a new one";
    /// The command needs a signature and has none.
    SignatureMissing "SIGNATURE_MISSING" "this needs the agency's signature; sign it with the agency's signing key";
    /// The signature does not verify under the agency's key in force.
    SignatureInvalid "SIGNATURE_INVALID" "the signature does not verify under the agency's key in force; sign exactly what is sent";
    /// The thing exists already.
    AlreadyExists "ALREADY_EXISTS" "there is one of this name already; choose another name";
    /// The invitation is unknown, spent or over, or the secret is wrong.
    InvitationInvalid "INVITATION_INVALID" "there is no such open invitation, or the secret is wrong; ask the operator for a new one";
    /// A key is in use by another agency.
    KeyInUse "KEY_IN_USE" "a key is in use already; make keys of the agency's own";
    /// The keys are malformed.
    KeysInvalid "KEYS_INVALID" "an agency has one Ed25519 signing key and 1 to 8 certificates";
    /// No such agreement, or the caller is no party of it.
    AgreementUnknown "AGREEMENT_UNKNOWN" "there is no such agreement of this agency";
    /// The caller drafts an agreement that it is no party of.
    NotAParty "NOT_A_PARTY" "an agency drafts only agreements that it is a party of; add it to the parties";
    /// The agreement does not stand where this can be done.
    AgreementState "AGREEMENT_STATE" "the agreement does not stand where this can be done; show it and see its status";
    /// Another version stands.
    VersionDiffers "VERSION_DIFFERS" "another version of the agreement stands; show it and decide on that one";
    /// The content hash is not the one of the version.
    ContentHashDiffers "CONTENT_HASH_DIFFERS" "the content hash is not that of the version; show the agreement and read it again";
    /// A party is not enrolled, stands twice, is of another kind, or has another key.
    PartyInvalid "PARTY_INVALID" "every party is an enrolled agency, named once, with the kind and the key fingerprint that it shows";
    /// The record type or a group of it is not known.
    GroupUnknown "GROUP_UNKNOWN" "the record type or a field group of it is not known; list the record types";
    /// A flow is malformed: parties, groups, dates or names.
    FlowInvalid "FLOW_INVALID" "a flow names a publisher and other recipients among the parties, groups of its type, a basis, a gate and a caseload rule, and its own id";
    /// The basis is not one that this kind of agency may use.
    BasisNotForKind "BASIS_NOT_FOR_KIND" "this kind of agency may not rely on this lawful basis; a public authority uses its duty or task";
    /// A legal obligation or public task names no power.
    LegalPowerMissing "LEGAL_POWER_MISSING" "a legal obligation or public task needs its statutory power; name it";
    /// A group of special category data has no condition.
    SpecialConditionMissing "SPECIAL_CONDITION_MISSING" "a group holds special category data and the flow names no condition of article 9; name it";
    /// Basis and gate contradict each other.
    GateMismatch "GATE_MISMATCH" "consent as the basis needs a consent gate, and a condition of explicit consent too; a duty needs none";
    /// The agreement's end is not in the future.
    ExpiryInvalid "EXPIRY_INVALID" "the end must lie in the future, at most ten years away";
    /// The party has approved this version.
    AlreadyApproved "ALREADY_APPROVED" "this party has approved this version already";
    /// The party has not suspended its flows.
    NotSuspended "NOT_SUSPENDED" "this party has not suspended its flows";
    /// No flow in force waits for such a consent: asking for it would be a sham.
    ConsentNotAsked "CONSENT_NOT_ASKED" "no flow in force waits for this consent; give the privacy notice instead and ask nothing";
    /// The grantor has no known authority.
    AuthorityMissing "AUTHORITY_MISSING" "whoever speaks for the client needs authority that was seen or stated; record it or ask the client";
    /// The grantor may not give this consent at the client's age.
    GrantorNotCompetent "GRANTOR_NOT_COMPETENT" "the client speaks for itself from 12, or 16 where a statute asks a parent; record the right grantor";
    /// The dates of the consent contradict each other.
    ConsentDatesInvalid "CONSENT_DATES_INVALID" "a consent is given in the past and ends in the future";
    /// No such consent, or none that the caller may withdraw.
    ConsentUnknown "CONSENT_UNKNOWN" "there is no such consent of this agency";
    /// The policy does not parse or validate.
    PolicyInvalid "POLICY_INVALID" "the policy does not validate; write one `forbid` over the published schema";
    /// The policy would permit.
    PolicyPermits "POLICY_PERMITS" "a policy only narrows; write `forbid`, and share more by an agreement";
    /// No such policy.
    PolicyUnknown "POLICY_UNKNOWN" "there is no such policy of this agency";
    /// No such client, claim, record or key, or not for this caller; all of these look the same.
    NotAvailable "NOT_AVAILABLE" "nothing of that name is available to this agency";
    /// The claim is confirmed already.
    AlreadyConfirmed "ALREADY_CONFIRMED" "the claim is confirmed already";
    /// The agency publishes no such type in any active agreement.
    NoActiveFlow "NO_ACTIVE_FLOW" "no active agreement has this agency publish this type of record; agree on one first";
    /// The type's version is not known.
    TypeVersionUnknown "TYPE_VERSION_UNKNOWN" "the version of the record type is not known to the exchange";
    /// The version to replace is not the latest.
    SupersedesNotLatest "SUPERSEDES_NOT_LATEST" "another version has come since; read the latest and publish over that";
    /// The client of a new version is another one.
    ClientDiffers "CLIENT_DIFFERS" "a new version is about the client of the version before; publish a record of its own";
    /// No such subscription.
    SubscriptionUnknown "SUBSCRIPTION_UNKNOWN" "there is no such subscription of this agency";
    /// No such delivery.
    DeliveryUnknown "DELIVERY_UNKNOWN" "there is no such delivery of this subscription";
    /// A limit of the exchange is reached.
    LimitReached "LIMIT_REACHED" "a limit of the exchange is reached; remove what is no longer needed";
    /// Another stream has released since.
    ReleaseStale "RELEASE_STALE" "another stream has taken over";
    /// Too much is released and not acknowledged.
    WindowFull "WINDOW_FULL" "too many records are not acknowledged; acknowledge some first";
    /// A node's proposal has no object: no sweep, an opened key, a superseded rule.
    NothingToDo "NOTHING_TO_DO" "there is nothing to do";
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Refusal {}
