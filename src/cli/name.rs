//! Resource names on the command line, where the collection may be left out: `glen-college` for `agencies/glen-college`.

use std::str::FromStr;

use crate::model::{id::AgencyId, violation::Violation};

/// The id in `text`, which is the id itself or a resource name that ends in it.
///
/// # Errors
/// It is another collection's name, or no id.
pub(crate) fn id<T: FromStr<Err = Violation>>(
    collection: &str,
    text: &str,
) -> Result<T, Violation> {
    let bare = match text.rsplit_once('/') {
        None => text,
        Some((parent, id)) if parent.rsplit('/').next() == Some(collection) => id,
        Some(_) => {
            let text = format!("give an id, or a name of the collection `{collection}`");
            return Err(Violation::new("", "MALFORMED_NAME", text));
        }
    };
    bare.parse()
}

/// The name of the resource that `text` means.
///
/// # Errors
/// As [`id`].
pub(crate) fn full<T>(collection: &str, text: &str) -> Result<String, Violation>
where
    T: FromStr<Err = Violation> + ToString,
{
    id::<T>(collection, text).map(|id| format!("{collection}/{}", id.to_string()))
}

/// The name of what `text` means among an agency's own.
///
/// # Errors
/// As [`id`].
pub(crate) fn owned<T>(agency: &AgencyId, collection: &str, text: &str) -> Result<String, Violation>
where
    T: FromStr<Err = Violation> + ToString,
{
    full::<T>(collection, text).map(|name| format!("agencies/{agency}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{AliasId, PolicyId};

    #[test]
    fn a_name_may_be_given_with_or_without_its_collection() {
        let agency: AgencyId = "glen-college".parse().unwrap();
        for text in ["agencies/glen-college", "glen-college"] {
            assert_eq!(full::<AgencyId>("agencies", text).unwrap(), "agencies/glen-college");
        }
        for text in ["agencies/glen-college/policies/p", "policies/p", "p"] {
            assert_eq!(
                owned::<PolicyId>(&agency, "policies", text).unwrap(),
                "agencies/glen-college/policies/p"
            );
        }
        assert!(id::<AliasId>("clients", "records/00112233445566778899aabbccddeeff").is_err());
        assert!(id::<AgencyId>("agencies", "Not An Id").is_err());
    }
}
