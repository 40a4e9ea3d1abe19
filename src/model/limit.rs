//! Every limit of the exchange, in one place, with its unit last in the name.

/// The greatest size of one gRPC message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The greatest number of rows one entry may touch.
pub const ROWS_PER_ENTRY_MAX: usize = 1_000;
/// The greatest number of lines in one release.
pub const RELEASE_LINES_MAX: usize = 64;
/// The greatest number of released and unacknowledged records of one subscription.
pub const WINDOW_RECORDS_MAX: u32 = 1_000;
/// How often a recipient may nack a record before it is parked.
pub const NACKS_MAX: u32 = 5;
/// The greatest number of parties of one agreement.
pub const PARTIES_MAX: usize = 32;
/// The greatest number of flows of one agreement.
pub const FLOWS_MAX: usize = 64;
/// The greatest number of indicators of one agreement.
pub const INDICATORS_MAX: usize = 32;
/// The greatest number of versions of one agreement.
pub const AGREEMENT_VERSIONS_MAX: usize = 256;
/// The greatest number of notices that are kept for one agency; the oldest go first.
pub const NOTICES_MAX: usize = 1_000;
/// The greatest number of agreements of one succession.
pub const SUCCESSION_SHARES_MAX: usize = 16;
/// The greatest number of agencies that have to approve one succession.
pub const SUCCESSION_PARTIES_MAX: usize = 64;
/// The greatest number of successions before one agency, or that it proposed, that are not decided.
pub const SUCCESSIONS_OPEN_MAX: usize = 64;
/// How far ahead a succession's date may lie, in milliseconds of ledger time: 731 days.
pub const SUCCESSION_AHEAD_MS: u64 = 731 * 24 * 3_600_000;
/// How long after it was proposed, and after its date, a succession lapses that not all have approved, in milliseconds of
/// ledger time: 90 days.
pub const SUCCESSION_LAPSES_MS: u64 = 90 * 24 * 3_600_000;
/// The greatest number of recipients of one flow.
pub const RECIPIENTS_MAX: usize = 32;
/// The greatest number of field groups of one record type.
pub const GROUPS_MAX: usize = 32;
/// The greatest number of subscriptions of one agency.
pub const SUBSCRIPTIONS_MAX: usize = 16;
/// The greatest number of policies of one agency.
pub const POLICIES_MAX: usize = 64;
/// The greatest size of one policy's text, in bytes.
pub const POLICY_BYTES_MAX: usize = 16 << 10;
/// The greatest number of current records of one client.
pub const RECORDS_PER_CLIENT_MAX: usize = 128;
/// The greatest number of consents that one agency records for one client; refusals are not limited.
pub const CONSENTS_PER_CLIENT_MAX: usize = 128;
/// The greatest number of recalls that are put before their recipient at once.
pub const RECALLS_MAX: usize = 64;
/// The greatest number of data keys that one entry wraps anew.
pub const REWRAPS_MAX: usize = 64;
/// The greatest number of epochs of one erasure.
pub const ERASURE_EPOCHS_MAX: usize = 1_024;
/// The greatest number of records that one entry disposes of.
pub const DISPOSALS_MAX: usize = 16;
/// The greatest number of data keys that one epoch covers before the next one begins: an erasure wraps so many anew.
pub const KEYS_PER_EPOCH_MAX: usize = 4_096;
/// The greatest number of legal holds of one agency on one client.
pub const HOLDS_PER_CLIENT_MAX: usize = 16;
/// The greatest number of open disputes of one recipient about one record.
pub const DISPUTES_OPEN_MAX: usize = 32;
/// Within what time a publisher answers a dispute, in milliseconds of ledger time: 28 days.
pub const DISPUTE_ANSWER_MS: u64 = 28 * 24 * 3_600_000;
/// The greatest number of cases about one client that one agency has open.
pub const CASES_OPEN_MAX: usize = 64;
/// The greatest number of flows that one case names.
pub const CASE_FLOWS_MAX: usize = 64;
/// The greatest number of records that one incident names.
pub const INCIDENT_RECORDS_MAX: usize = 64;
/// The greatest number of records on one page of a report.
pub const REPORT_RECORDS_MAX: usize = 16;
/// How many recipients one entry tells of a restriction; the others are told by the next.
pub const RESTRICTION_TOLD_MAX: usize = 64;
/// How long ago a case may have been received when it is opened, in milliseconds: 366 days.
pub const CASE_RECEIVED_MS: u64 = 366 * 24 * 3_600_000;
/// Within what time a complaint is acknowledged, in milliseconds of ledger time: 30 days.
pub const COMPLAINT_ACKNOWLEDGE_MS: u64 = 30 * 24 * 3_600_000;
/// Within what time the Commissioner is told of an incident, in milliseconds of ledger time: 72 hours.
pub const INCIDENT_TELL_MS: u64 = 72 * 3_600_000;
/// The greatest number of persons that one agency records as speaking for one client.
pub const HOLDERS_PER_CLIENT_MAX: usize = 16;
/// The greatest number of records that leave at once under emergency access.
pub const EMERGENCY_LINES_MAX: usize = 16;
/// How long emergency access lasts, in milliseconds of ledger time: 8 hours, one shift.
pub const EMERGENCY_MS: u64 = 8 * 3_600_000;
/// In what time emergency access is counted, in milliseconds of ledger time: 24 hours.
pub const EMERGENCY_WINDOW_MS: u64 = 24 * 3_600_000;
/// How often one agency may open emergency access in that time.
pub const EMERGENCIES_PER_AGENCY_MAX: usize = 24;
/// How often one member of its staff may.
pub const EMERGENCIES_PER_STAFF_MAX: usize = 6;
/// Within what time emergency access is reviewed, in milliseconds of ledger time: 3 days.
pub const EMERGENCY_REVIEW_MS: u64 = 3 * 24 * 3_600_000;
/// How long after that nothing else happens than that everybody is told, in milliseconds of ledger time: 3 days more.
pub const EMERGENCY_GRACE_MS: u64 = 3 * 24 * 3_600_000;
/// How long offices may be authorised for emergency access, in milliseconds of ledger time: 366 days.
pub const EMERGENCY_AUTHORITY_MS: u64 = 366 * 24 * 3_600_000;
/// How often a refused attempt at emergency access is told for one agency and cause, in milliseconds of ledger time.
pub const EMERGENCY_REFUSED_TOLD_MS: u64 = 3_600_000;
/// How long a request id is remembered, in milliseconds of ledger time: 30 days.
pub const REQUEST_MEMORY_MS: u64 = 30 * 24 * 3_600_000;
/// How many entries lie between two attestations.
pub const ATTEST_ENTRIES: u64 = 1_024;
