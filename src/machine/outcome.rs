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
        id::{
            AliasId, CaseId, ConsentId, DisputeId, EmergencyId, ErasureId, HoldId, HolderId,
            RecordId, SuccessionId,
        },
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
    /// A dispute was opened.
    Dispute(DisputeId),
    /// A person who may speak for a client, or must not, was recorded.
    Holder(HolderId),
    /// A case was opened, or stands as the request left it.
    Case(CaseId),
    /// An erasure was begun.
    Erasure(ErasureId),
    /// A legal hold was placed or lifted.
    Hold(HoldId),
    /// Emergency access was opened.
    Emergency(EmergencyId),
    /// A succession stands as the request left it.
    Succession {
        /// Which.
        succession: SuccessionId,
        /// Its content hash.
        content_hash: Digest,
    },
}

impl Receipt {
    /// The receipt that says no more than that it was done.
    pub const DONE: Self = Self::Answer(Remembered::Done);
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $reason:literal $message:literal;)*) => {
        /// Why a command was turned down, in order of precedence.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Refusal {$(
            $(#[$doc])*
            $name,
        )*}

        impl Refusal {
            /// Every refusal, in order of precedence.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable reason code: a value's name of `concordat.v1.Reason` without its prefix. It is API and never
            /// renamed; several refusals that a caller deals with alike share one.
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
    Malformed "INVALID_REQUEST" "the command is malformed; build it from the published proto files";
    /// The ledger has its Genesis already, or the command comes before it.
    GenesisMisplaced "INTERNAL" "a ledger has one genesis, at its beginning; run `concordat init` on an empty directory";
    /// The actor is no agency of this exchange.
    AgencyUnknown "NOT_AVAILABLE" "no such agency takes part in this exchange; ask the operator for an invitation";
    /// The agency was invited and has not enrolled.
    AgencyNotEnrolled "AGENCY_WRONG_STATE" "the agency has not enrolled; enrol with the invitation first";
    /// The agency is suspended.
    AgencySuspended "AGENCY_SUSPENDED" "the agency is suspended; ask the operator";
    /// This kind of actor may not do this.
    ActorNotPermitted "CALLER_NOT_ALLOWED" "this is not for this kind of caller; an agency must ask with its own certificate and key";
    /// The purpose is missing, or not one for which this is done.
    PurposeNotPermitted "PURPOSE_NOT_ALLOWED" "the purpose is not one for which this may be done; state the purpose of the agreement";
    /// The request id is not a UUIDv7, or too far from the present.
    RequestIdInvalid "REQUEST_TOO_OLD" "the request id is made later than now; set the clock and draw a new one";
    /// The request id was used for something else.
    RequestIdReused "REQUEST_REUSED" "the request id was used with other content; draw a new one for a new request";
    /// The request id is older than what is remembered.
    RequestTooOld "REQUEST_TOO_OLD" "the request id is older than 30 days; ask what became of it, then draw a new one";
    /// The command needs a signature and has none.
    SignatureMissing "SIGNATURE_INVALID" "this needs the agency's signature; sign it with the agency's signing key";
    /// The signature does not verify under the agency's key in force.
    SignatureInvalid "SIGNATURE_INVALID" "the signature does not verify under the agency's key in force; sign exactly what is sent";
    /// The agency has enrolled already.
    AgencyExists "AGENCY_EXISTS" "there is an agency of this id already; choose another id";
    /// The agency's state does not allow the step.
    AgencyState "AGENCY_WRONG_STATE" "the agency does not stand where this can be done; show it and see its state";
    /// The agency went over into another one.
    AgencySucceeded "AGENCY_SUCCEEDED" "the agency went over into another one, which acts in its place; it is not resumed";
    /// The invitation is unknown, spent or over, or the secret is wrong.
    InvitationInvalid "INVITATION_INVALID" "there is no such open invitation, or the secret is wrong; ask the operator for a new one";
    /// A key is in use by another agency.
    KeyInUse "KEY_IN_USE" "a key is in use already; make keys of the agency's own";
    /// The keys are malformed.
    KeysInvalid "INVALID_REQUEST" "an agency has one Ed25519 signing key and 1 to 8 certificates";
    /// No such agreement, or the caller is no party of it.
    AgreementUnknown "NOT_AVAILABLE" "there is no such agreement of this agency";
    /// Another agreement has the id.
    AgreementExists "AGREEMENT_EXISTS" "another agreement has this id; choose another id";
    /// The caller drafts an agreement that it is no party of.
    NotAParty "NOT_A_PARTY" "an agency drafts only agreements that it is a party of; add it to the parties";
    /// The agreement does not stand where this can be done.
    AgreementState "AGREEMENT_WRONG_STATE" "the agreement does not stand where this can be done; show it and see its status";
    /// Another version stands.
    VersionDiffers "VERSION_DIFFERS" "another version of the agreement stands; show it and decide on that one";
    /// The content hash is not the one of the version.
    ContentHashDiffers "CONTENT_DIFFERS" "the content hash is not that of the version; show the agreement and read it again";
    /// A party is not enrolled, stands twice, is of another kind, or has another key.
    PartyInvalid "PARTY_DIFFERS" "every party is an enrolled agency, named once, with the kind and the key fingerprint that it shows";
    /// The record type is not known.
    TypeUnknown "RECORD_TYPE_UNKNOWN" "the record type is not registered; see the record types that GetLedger shows";
    /// A group of the record type is not known.
    GroupUnknown "FIELD_GROUP_UNKNOWN" "the record type has no such field group; see the record types that GetLedger shows";
    /// A flow is malformed: parties, groups, dates or names.
    FlowInvalid "INVALID_REQUEST" "a flow names a publisher and other recipients among the parties, groups of its type, a basis, a gate and a caseload rule, and its own id";
    /// The basis is not one that this kind of agency may use.
    BasisNotForKind "BASIS_NOT_ALLOWED" "this kind of agency may not rely on this lawful basis; a public authority uses its duty or task";
    /// A legal obligation or public task names no power.
    LegalPowerMissing "BASIS_NOT_ALLOWED" "a legal obligation or public task needs its statutory power; name it";
    /// A group of special category data has no condition.
    SpecialConditionMissing "BASIS_NOT_ALLOWED" "a group holds special category data and the flow names no condition of article 9; name it";
    /// Basis and gate contradict each other.
    GateMismatch "GATE_NOT_ALLOWED" "consent as the basis needs a consent gate, and a condition of explicit consent too; a duty needs none";
    /// Data cross between regimes without a gateway, or the regime is not the publisher's.
    GatewayMissing "GATEWAY_MISSING" "data cross between part 3 of the 2018 act and the uk gdpr; name the power that is the gateway and the publisher's own regime";
    /// The agreement's end is not in the future.
    ExpiryInvalid "INVALID_REQUEST" "the end must lie in the future, at most ten years away";
    /// The content misses something or says what is not lawful.
    AgreementIncomplete "AGREEMENT_INCOMPLETE" "the agreement is not complete; check it and settle every item that the check lists";
    /// The party has approved this version.
    AlreadyApproved "ALREADY_APPROVED" "this party has approved this version already";
    /// A statutory or safeguarding flow would stop without a reason.
    SuspensionReasonMissing "SUSPENSION_REASON_MISSING" "this stops a statutory or safeguarding flow; say why, every party is told";
    /// The party has not suspended its flows.
    NotSuspended "AGREEMENT_WRONG_STATE" "this party has not suspended its flows";
    /// A succession is before the parties of the agreement: one change at a time.
    SuccessionPending "SUCCESSION_PENDING" "a succession about this agreement is before its parties; decide on it first, or decline it";
    /// The kind and the successors do not fit each other, or a body is not one that can take part.
    SuccessionInvalid "SUCCESSION_NOT_VALID" "a merger and a moved function have one successor, a split has two or more, each enrolled, not suspended and not the old body";
    /// The old body is in force or nothing statutory speaks for it, and it is not to approve.
    SuccessionUnproven "SUCCESSION_UNPROVEN" "the old body is suspended and cannot approve; an act, order or transfer scheme must name its successor, or it is resumed";
    /// A merger leaves out an agreement of the old body's.
    SuccessionIncomplete "SUCCESSION_INCOMPLETE" "a merger takes over every agreement in force of the old body; name them all, or move the others first";
    /// The date is not in the future, or too far away.
    SuccessionDateInvalid "INVALID_REQUEST" "a succession takes effect with the last approval, or on a date in the next two years";
    /// The succession does not stand where this can be done.
    SuccessionState "SUCCESSION_WRONG_STATE" "the succession does not stand where this can be done; show it and see its state";
    /// No flow in force waits for such a consent: asking for it would be a sham.
    ConsentNotAsked "CONSENT_NOT_ASKED" "no flow in force waits for this consent; give the privacy notice instead and ask nothing";
    /// The grantor's authority is not stated.
    AuthorityMissing "CONSENT_NOT_VALID" "whoever speaks for the client needs authority that was seen or stated; record it or ask the client";
    /// The grantor's authority is recorded as not known.
    AuthorityNotKnown "CONSENT_AUTHORITY_NOT_KNOWN" "nobody knows by what authority this person speaks; see a document, have it stated, or ask the client";
    /// The grantor is recorded as a person without rights.
    HolderWithoutRights "CONSENT_WITHOUT_RIGHTS" "this person is recorded as without rights; ask somebody who holds them, or the client";
    /// The grantor may not give this consent: it is for the client to give, or for a parent.
    GrantorNotCompetent "CONSENT_NOT_VALID" "the client speaks from 12, or once over school age where a statute asks a parent, unless assessed otherwise; record the right grantor";
    /// From 16 somebody else speaks under an order or power alone.
    MandateMissing "CONSENT_MANDATE_MISSING" "from 16 somebody else speaks only under an order or power; state the mandate, or ask the young person";
    /// A parent consents where the child's view must be recorded, and it is not.
    ViewMissing "CONSENT_VIEW_MISSING" "where a parent consents under the 2004 act the child's own view is recorded; ask the child and state it";
    /// A milestone at which somebody else speaks is not stated, or cannot lie there.
    ReviewMissing "CONSENT_REVIEW_MISSING" "state when somebody else will speak: the month of the 12th or 16th birthday, or the leaving date, as the age allows";
    /// The milestone has come already.
    ReviewPast "CONSENT_REVIEW_DUE" "the birthday's month or leaving date has come; ask whoever speaks for the client now";
    /// The dates of the consent contradict each other.
    ConsentDatesInvalid "INVALID_REQUEST" "a consent is given in the past and ends in the future";
    /// No such consent, or none that the caller may withdraw.
    ConsentUnknown "NOT_AVAILABLE" "there is no such consent of this agency";
    /// Nothing is left to withdraw.
    ConsentState "CONSENT_WRONG_STATE" "the consent has been withdrawn for all that is named; there is nothing left to withdraw";
    /// The refusal is not one that can be decided about, or was decided about so already.
    ResolutionState "CONSENT_WRONG_STATE" "only a refusal by somebody who spoke for the client is decided about, each way once; show it and see";
    /// The Cedar schema's version is not known.
    PolicySchemaUnknown "POLICY_SCHEMA_UNKNOWN" "the exchange does not know this version of the policy schema; write the policy for the version that GetLedger shows";
    /// The policy does not parse or validate.
    PolicyInvalid "POLICY_INVALID" "the policy does not validate; write one `forbid` over the published schema";
    /// The policy would permit.
    PolicyPermits "POLICY_INVALID" "a policy only narrows; write `forbid`, and share more by an agreement";
    /// No such policy.
    PolicyUnknown "NOT_AVAILABLE" "there is no such policy of this agency";
    /// No such client, claim, record or key, or not for this caller; all of these look the same.
    NotAvailable "NOT_AVAILABLE" "nothing of that name is available to this agency";
    /// The client is claimed already.
    AlreadyClaimed "CASELOAD_WRONG_STATE" "the agency has claimed the client already";
    /// The claim is confirmed already.
    AlreadyConfirmed "CASELOAD_WRONG_STATE" "the claim is confirmed already";
    /// The agency publishes no such type in any active agreement.
    NoActiveFlow "NOT_A_PUBLISHER" "no active agreement has this agency publish this type of record; agree on one first";
    /// The type's version is not known.
    TypeVersionUnknown "RECORD_TYPE_UNKNOWN" "the version of the record type is not known to the exchange";
    /// The version to replace is not the latest.
    SupersedesNotLatest "VERSION_DIFFERS" "another version has come since; read the latest and publish over that";
    /// The client of a new version is another one.
    ClientDiffers "INVALID_REQUEST" "a new version is about the client of the version before; publish a record of its own";
    /// The record was retracted.
    RecordRetracted "RECORD_WRONG_STATE" "the record was retracted; publish a new record if there is one to share";
    /// What the request published was erased.
    RequestErased "REQUEST_ERASED" "what this request published was erased; publish a new record if there is one to share";
    /// A legal hold of the agency's own is on it.
    LegalHold "LEGAL_HOLD" "a legal hold of this agency is on it; lift the hold first, or answer the person that it must be kept";
    /// The hold was lifted already.
    HoldState "HOLD_WRONG_STATE" "the hold was lifted already; place a new one";
    /// The recall was answered already.
    RecallState "RECALL_WRONG_STATE" "the recall was answered already; only what was kept is answered once more";
    /// The recall is not to be answered so.
    RecallActUnfit "RECALL_ACT_NOT_ALLOWED" "what was taken back is deleted or kept on a ground; only what was corrected is corrected, and only what an ended agreement wants back is returned";
    /// The dispute was answered already, or nothing was put right.
    DisputeState "DISPUTE_WRONG_STATE" "the dispute was answered already, or nothing was put right since; publish a correction first";
    /// The dates of a case contradict each other.
    CaseDatesInvalid "INVALID_REQUEST" "a case was received in the past, at most 366 days ago";
    /// A flow is not one to which anybody may object.
    ObjectionNotForBasis "OBJECTION_NOT_ALLOWED" "an objection reaches only what rests on a public task or a legitimate interest; tell the person which basis the flow has";
    /// The case does not stand where this can be done, or is of another kind.
    CaseState "CASE_WRONG_STATE" "the case is of another kind or does not stand where this can be done; show it and see";
    /// A measure is already what is asked, or there is nothing to lift or decide on that flow.
    MeasureState "CASE_WRONG_STATE" "the flow stands so already, or nothing was asked about it; show the case and see its measures";
    /// A restriction of everything leaves flows for safeguarding out and does not say why.
    ContinueGroundMissing "CASE_GROUND_MISSING" "flows for safeguarding go on unless they are named; say on which ground, or name them";
    /// A restriction is lifted and the person was not told before.
    PersonNotTold "CASE_PERSON_NOT_TOLD" "the person is told before a restriction is lifted; tell them and say so";
    /// The requester's identity or authority is not known well enough for a report.
    RequesterNotProven "CASE_REQUESTER_NOT_PROVEN" "a report goes to a person who is known, with authority that was seen or stated; confirm it, and record who speaks for the client";
    /// A person must stand by the request, and a system asks.
    NamedActorMissing "NAMED_ACTOR_REQUIRED" "this needs a member of staff who stands by it; name the person who acts, a system may not";
    /// Emergency access was not authorised beforehand.
    EmergencyNotAuthorised "EMERGENCY_NOT_AUTHORISED" "this office has no emergency access of this kind; agree on a flow for such emergencies and authorise the office beforehand";
    /// Earlier emergency access was not reviewed in time.
    EmergencyReviewOverdue "EMERGENCY_REVIEW_OVERDUE" "earlier emergency access was not reviewed in time; have the agency's officer review it first";
    /// Too much emergency access in a day.
    EmergencyTooMany "EMERGENCY_TOO_MANY" "too much emergency access was used in a day; ask the publisher, or wait";
    /// Somebody else must act: who opened it reads, and somebody else reviews.
    EmergencyActorUnfit "EMERGENCY_ACTOR_NOT_ALLOWED" "who opened emergency access reads under it, and somebody else reviews it; let the right person act";
    /// The emergency access is over, or reviewed.
    EmergencyState "EMERGENCY_WRONG_STATE" "the emergency access is over or was reviewed; open another one if there is still an emergency";
    /// The agency has a subscription of this id.
    SubscriptionExists "SUBSCRIPTION_EXISTS" "the agency has a subscription of this id already; choose another id";
    /// No such subscription.
    SubscriptionUnknown "NOT_AVAILABLE" "there is no such subscription of this agency";
    /// No such delivery.
    DeliveryUnknown "CURSOR_INVALID" "there is no such delivery of this subscription";
    /// A limit of the exchange is reached.
    LimitReached "QUOTA_EXCEEDED" "a limit of the exchange is reached; remove what is no longer needed";
    /// Another stream has released since.
    ReleaseStale "EXCHANGE_UNAVAILABLE" "another stream has taken over";
    /// Too much is released and not acknowledged.
    WindowFull "QUOTA_EXCEEDED" "too many records are not acknowledged; acknowledge some first";
    /// A node's proposal has no object: no sweep, an opened key, a superseded rule.
    NothingToDo "INTERNAL" "there is nothing to do";
}

// The digest of outcomes names a refusal by its reason, which is never renamed, and not by its place in the order, which
// moves when another one comes in between.
impl BorshSerialize for Refusal {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.reason().serialize(writer)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Refusal {}
