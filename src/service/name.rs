//! Resource names: `agencies/ID`, `agreements/ID`, `clients/ALIAS`, `records/ID`, `consents/ID`,
//! `holders/ID`, `recalls/ID`, `disputes/ID`, `cases/ID`, `emergencies/ID`, `erasures/ID`, `holds/ID`,
//! `agencies/ID/policies/ID` and `agencies/ID/subscriptions/ID`.
//!
//! Parsed and written here and nowhere else. Source: the head of `proto/concordat/v1/context.proto`.

use std::{fmt::Display, str::FromStr};

use crate::model::{
    id::{
        AgencyId, AgreementId, AliasId, CaseId, ConsentId, DisputeId, EmergencyId, ErasureId,
        HoldId, HolderId, PolicyId, RecallId, RecordId, SubscriptionId, SuccessionId,
    },
    violation::Violation,
};

/// A resource that has a name of one collection.
pub trait Resource: FromStr<Err = Violation> + Display {
    /// The collection, such as `agencies`.
    const COLLECTION: &'static str;
}

/// A resource of an agency's own.
pub trait Owned: FromStr<Err = Violation> + Display {
    /// The collection inside the agency, such as `policies`.
    const COLLECTION: &'static str;
}

macro_rules! collections {
    ($($trait:ident $id:ident $collection:literal;)*) => {$(
        impl $trait for $id {
            const COLLECTION: &'static str = $collection;
        }
    )*};
}

collections! {
    Resource AgencyId "agencies";
    Resource AgreementId "agreements";
    Resource AliasId "clients";
    Resource RecordId "records";
    Resource ConsentId "consents";
    Resource RecallId "recalls";
    Resource CaseId "cases";
    Resource DisputeId "disputes";
    Resource ErasureId "erasures";
    Resource HoldId "holds";
    Resource EmergencyId "emergencies";
    Resource SuccessionId "successions";
    Resource HolderId "holders";
    Owned PolicyId "policies";
    Owned SubscriptionId "subscriptions";
}

/// The name of a resource.
pub fn of<T: Resource>(id: &T) -> String {
    format!("{}/{id}", T::COLLECTION)
}

/// The name of a resource of an agency's own.
pub fn of_owned<T: Owned>(agency: &AgencyId, id: &T) -> String {
    format!("{}/{}/{id}", of(agency), T::COLLECTION)
}

/// The id in a name.
///
/// # Errors
/// A violation at `field` unless the name is of this collection.
pub fn parse<T: Resource>(name: &str, field: &str) -> Result<T, Violation> {
    let id = name.strip_prefix(T::COLLECTION).and_then(|rest| rest.strip_prefix('/'));
    match id.map(str::parse) {
        Some(Ok(id)) => Ok(id),
        Some(Err(violation)) => Err(violation.inside(field)),
        None => Err(malformed(field, &format!("{}/ID", T::COLLECTION))),
    }
}

/// The agency and the id in the name of something of its own.
///
/// # Errors
/// A violation at `field` unless the name is of this collection inside an agency.
pub fn parse_owned<T: Owned>(name: &str, field: &str) -> Result<(AgencyId, T), Violation> {
    let wanted = || malformed(field, &format!("agencies/ID/{}/ID", T::COLLECTION));
    let mut parts = name.split('/');
    let (Some("agencies"), Some(agency), Some(collection), Some(id), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wanted());
    };
    if collection != T::COLLECTION {
        return Err(wanted());
    }
    let agency = agency.parse().map_err(|violation: Violation| violation.inside(field))?;
    let id = id.parse().map_err(|violation: Violation| violation.inside(field))?;
    Ok((agency, id))
}

fn malformed(field: &str, wanted: &str) -> Violation {
    Violation::new(field, "MALFORMED_NAME", format!("the name has the form `{wanted}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_the_id_it_was_made_of() {
        let agency: AgencyId = "glen-college".parse().unwrap();
        let policy: PolicyId = "no-support".parse().unwrap();
        let alias = AliasId::from_bytes(*b"0123456789abcdef");
        assert_eq!(of(&agency), "agencies/glen-college");
        assert_eq!(parse(&of(&agency), "name"), Ok(agency.clone()));
        assert_eq!(parse(&of(&alias), "client"), Ok(alias));
        let name = of_owned(&agency, &policy);
        assert_eq!(name, "agencies/glen-college/policies/no-support");
        assert_eq!(parse_owned(&name, "name"), Ok((agency, policy)));
    }

    #[test]
    fn a_name_of_another_form_is_refused_at_its_field() {
        for bad in [
            "",
            "agencies",
            "agencies/",
            "agencies/A",
            "agreements/x",
            "agencies/x/y",
            "/agencies/x",
        ] {
            let violation = parse::<AgencyId>(bad, "name").unwrap_err();
            assert_eq!((violation.field.as_str(), violation.reason), ("name", "MALFORMED_NAME"));
        }
        for bad in ["agencies/x/policies", "agencies/x/policies/y/z", "agencies/x/subscriptions/y"]
        {
            assert!(parse_owned::<PolicyId>(bad, "name").is_err(), "{bad}");
        }
    }
}
