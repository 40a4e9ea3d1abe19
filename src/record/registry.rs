//! The registry: every record type this binary holds, as its descriptor declares it.
//!
//! A message is a record type when it carries the option `record_type`; each of its fields names its field group. The
//! registry decides nothing about who receives a group.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use jiff::civil::Date;
use prost::Message;
use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::{
    model::{
        id::{GroupName, RecordTypeName},
        violation::Violation,
    },
    pb::{self, record::v1::ReaderTier},
    record::{
        redaction::{Keep, RedactionPlan},
        shape::{self, Shape, Shaped},
        third_party::ThirdParty,
        types,
        wire::{MalformedRecord, WireType},
    },
};

mod about;
mod declaration;

pub use about::{About, FieldPath};

/// What the edge knows when it validates a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeContext {
    /// Today, where the exchange is.
    pub today: Date,
}

/// Every record type, by its name.
#[derive(Debug)]
pub struct Registry {
    types: BTreeMap<RecordTypeName, RecordType>,
}

/// One record type.
pub struct RecordType {
    name: RecordTypeName,
    version: u32,
    code_lists: Box<str>,
    about: About,
    groups: Vec<FieldGroup>,
    fields: Vec<RecordField>,
    shape: Shape,
    descriptor: MessageDescriptor,
    third_party: ThirdParty,
    rules: Rules,
    plans: Mutex<BTreeMap<BTreeSet<GroupName>, Arc<RedactionPlan>>>,
}

/// One field group of a record type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldGroup {
    name: GroupName,
    special_category: bool,
    restricted: bool,
    third_party: bool,
    tier: ReaderTier,
}

/// One top-level field of a record type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordField {
    name: Box<str>,
    number: u32,
    group: GroupName,
    /// Where its group stands among those of the type.
    group_place: usize,
    derived: bool,
    wire_type: WireType,
    /// The number of the field that names the row's group, if the field holds rows about groups.
    row_name_field: Option<u32>,
}

/// A record that obeys every rule of its type.
#[derive(Clone, PartialEq, Eq)]
pub struct ValidRecord {
    /// The record, encoded anew: normal forms, no unknown fields, no empty groups.
    pub body: Bytes,
    /// The field groups that it holds, in the order of the type.
    pub groups_present: Vec<GroupName>,
    /// How the publisher identifies the client.
    pub identifiers: pb::ledger::v1::Identifiers,
    /// The client's age in whole years on the day of validation; `None` of a child not yet born.
    pub age_years_today: Option<u8>,
    /// The version of the code lists, as an ISO 8601 date.
    pub code_lists: Box<str>,
    /// The version of the type.
    pub type_version: u32,
}

/// Checks a body: [`RecordType::checked`] with the message of the type and its rules.
type Check = fn(&RecordType, &[u8], &EdgeContext) -> Result<Checked, Vec<Violation>>;
/// Checks that one body may follow another.
type CheckSuccessor = fn(Option<&[u8]>, &[u8]) -> Result<(), Vec<Violation>>;

/// The rules of one record type that its descriptor cannot state.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Checks a body.
    pub(crate) check: Check,
    /// Checks that one body may follow another, or be the first.
    pub(crate) check_successor: CheckSuccessor,
    /// An invented record.
    pub(crate) example: fn() -> Vec<u8>,
}

/// What the rules of a type make of a record.
pub(crate) struct Facts {
    /// How the publisher identifies the client: a local id, a national number, or both.
    pub(crate) identifiers: pb::ledger::v1::Identifiers,
    /// `None` of a child not yet born.
    pub(crate) age_years_today: Option<u8>,
}

/// A record that obeys every rule of its type, before the registry says which type that is.
pub(crate) struct Checked {
    body: Bytes,
    groups: Vec<GroupName>,
    facts: Facts,
}

/// A record type is declared wrongly: a mistake in the program's own descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclarationFault(pub(crate) String);

impl fmt::Display for DeclarationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DeclarationFault {}

impl Registry {
    /// The record types of this binary.
    ///
    /// # Errors
    /// `DeclarationFault` if a descriptor does not declare its type wholly; a test holds that none does.
    pub fn built_in() -> Result<Self, DeclarationFault> {
        let pool = DescriptorPool::decode(pb::DESCRIPTORS)
            .map_err(|error| DeclarationFault(format!("the descriptors do not decode: {error}")))?;
        let known = Self::of_pool(&pool, types::rules)?;
        if known.types.len() != types::COUNT {
            return Err(DeclarationFault("rules belong to no declared record type".to_owned()));
        }
        Ok(known)
    }

    /// The record types that `pool` declares, each with the rules of its name.
    fn of_pool(
        pool: &DescriptorPool,
        rules: impl Fn(&str) -> Option<Rules>,
    ) -> Result<Self, DeclarationFault> {
        let mut types = BTreeMap::new();
        for declared in declaration::read_all(pool)? {
            let name = declared.name.clone();
            let fault = |what: &str| DeclarationFault(format!("record type `{name}` {what}"));
            let rules = rules(name.as_str()).ok_or_else(|| fault("has no rules"))?;
            if types.contains_key(&name) {
                return Err(fault("is declared twice"));
            }
            types.insert(name, RecordType::new(declared, rules));
        }
        Ok(Self { types })
    }

    /// The type of that name.
    pub fn record_type(&self, name: &RecordTypeName) -> Option<&RecordType> {
        self.types.get(name)
    }

    /// Every type, by name.
    pub fn record_types(&self) -> impl Iterator<Item = &RecordType> {
        self.types.values()
    }
}

impl RecordType {
    fn new(declared: declaration::Declared, rules: Rules) -> Self {
        let declaration::Declared {
            name,
            version,
            code_lists,
            about,
            groups,
            fields,
            shape,
            descriptor,
            third_party,
        } = declared;
        let plans = Mutex::default();
        Self {
            name,
            version,
            code_lists,
            about,
            groups,
            fields,
            shape,
            descriptor,
            third_party,
            rules,
            plans,
        }
    }

    /// The name of the type.
    pub fn name(&self) -> &RecordTypeName {
        &self.name
    }

    /// The version of the type, from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The version of the code lists, as an ISO 8601 date.
    pub fn code_lists(&self) -> &str {
        &self.code_lists
    }

    /// What the type says of its records as a whole.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The field groups, in the order in which the type declares them.
    pub fn groups(&self) -> &[FieldGroup] {
        &self.groups
    }

    /// The group of that name.
    pub fn group(&self, name: &GroupName) -> Option<&FieldGroup> {
        self.groups.iter().find(|group| group.name == *name)
    }

    /// The top-level fields, in the order of their numbers.
    pub fn fields(&self) -> &[RecordField] {
        &self.fields
    }

    /// The top-level field of that number.
    pub(crate) fn field(&self, number: u32) -> Option<&RecordField> {
        let at = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        self.fields.get(at)
    }

    /// The message that the type is.
    pub fn descriptor(&self) -> &MessageDescriptor {
        &self.descriptor
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// An invented record of the type, as it looks on the wire.
    pub fn example(&self) -> Vec<u8> {
        (self.rules.example)()
    }

    /// Checks a body against every rule of the type.
    ///
    /// # Errors
    /// Every violation of the record, in the order of its fields. None repeats what the record holds.
    pub fn validate(
        &self,
        body: &[u8],
        context: &EdgeContext,
    ) -> Result<ValidRecord, Vec<Violation>> {
        let Checked { body, groups, facts } = (self.rules.check)(self, body, context)?;
        let Facts { identifiers, age_years_today } = facts;
        Ok(ValidRecord {
            body,
            groups_present: groups,
            identifiers,
            age_years_today,
            code_lists: self.code_lists.clone(),
            type_version: self.version,
        })
    }

    /// Checks a body as the message `M`: first its shape, by the descriptor, then what `rules` say. The rules may put
    /// values into their normal form.
    ///
    /// # Errors
    /// As [`RecordType::validate`].
    pub(crate) fn checked<M: Message + Default>(
        &self,
        body: &[u8],
        rules: impl FnOnce(&mut M, &[&FieldGroup]) -> Result<Facts, Vec<Violation>>,
    ) -> Result<Checked, Vec<Violation>> {
        let malformed = |_| vec![shape::malformed(self)];
        let mut record = M::decode(body).map_err(malformed)?;
        let Shaped { present, kept } = if shape::is_plain(self.shape(), body) {
            shape::check(self, body)?
        } else {
            // Encoded anew, a body has no unknown fields, and no field twice.
            shape::check(self, &record.encode_to_vec())?
        };
        if let Some(kept) = kept {
            record = M::decode(kept.as_slice()).map_err(malformed)?;
        }
        let facts = rules(&mut record, &present)?;
        let groups = present.into_iter().map(|group| group.name.clone()).collect();
        Ok(Checked { body: Bytes::from(record.encode_to_vec()), groups, facts })
    }

    /// Checks that a valid body may follow the version that it supersedes, or be the first if there is none.
    ///
    /// # Errors
    /// Every violation.
    pub fn validate_successor(
        &self,
        previous: Option<&[u8]>,
        next: &[u8],
    ) -> Result<(), Vec<Violation>> {
        (self.rules.check_successor)(previous, next)
    }

    /// What a recipient of exactly these groups may see. Groups that the type does not have add nothing. Compiled once
    /// per set, of which there are finitely many.
    pub fn redaction_plan(&self, groups: &BTreeSet<GroupName>) -> Arc<RedactionPlan> {
        let known: BTreeSet<_> =
            groups.iter().filter(|name| self.group(name).is_some()).cloned().collect();
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = plans.entry(known).or_insert_with_key(|known| Arc::new(self.compile(known)));
        Arc::clone(plan)
    }

    /// The body without what it says of anybody but the client.
    ///
    /// # Errors
    /// `MalformedRecord` if the bytes are no message of the type. Nothing of the body is then given out.
    pub fn without_third_party(&self, body: &[u8]) -> Result<Vec<u8>, MalformedRecord> {
        self.third_party.removed_from(body)
    }

    fn compile(&self, groups: &BTreeSet<GroupName>) -> RedactionPlan {
        let permitted = self.fields.iter().filter(|field| groups.contains(&field.group));
        RedactionPlan::keeping(
            permitted
                .map(|field| {
                    let keep = match field.row_name_field {
                        None => Keep::Whole { wire_type: field.wire_type },
                        Some(name_field) => {
                            Keep::Rows { name_field, groups: groups.iter().cloned().collect() }
                        }
                    };
                    (field.number, keep)
                })
                .collect(),
        )
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordType")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

impl FieldGroup {
    /// The name of the group.
    pub fn name(&self) -> &GroupName {
        &self.name
    }

    /// Whether it holds special category data, so that a condition of Article 9 is needed.
    pub fn special_category(&self) -> bool {
        self.special_category
    }

    /// Whether it is for agencies that a flow names for it, and is not part of the usual set.
    pub fn restricted(&self) -> bool {
        self.restricted
    }

    /// Whether it is about somebody else than the client, and so no part of a report to the client.
    pub fn third_party(&self) -> bool {
        self.third_party
    }

    /// Who reads it where an agreement does not say otherwise.
    pub fn tier(&self) -> ReaderTier {
        self.tier
    }
}

impl RecordField {
    /// The name of the field in the protobuf message.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the field.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The group that the field belongs to.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// The number of the field that names the group of a row, if the field holds rows about groups.
    pub(crate) fn row_name_field(&self) -> Option<u32> {
        self.row_name_field
    }

    /// Whether the exchange derives the field, so that a publisher may not give it.
    pub fn derived(&self) -> bool {
        self.derived
    }

    /// Where its group stands among those of the type.
    pub(crate) fn group_place(&self) -> usize {
        self.group_place
    }
}

impl fmt::Debug for ValidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidRecord")
            .field("groups_present", &self.groups_present)
            .field("code_lists", &self.code_lists)
            .field("type_version", &self.type_version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(in crate::record) mod declared;
#[cfg(test)]
mod tests;
