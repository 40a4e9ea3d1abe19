//! What a survey finds about policies: those that never forbid, forbid everything or add nothing.

use concordat::{
    machine::access::{
        survey::{Finding, survey},
        verdict::canonical,
    },
    model::id::PolicyId,
    record::registry::Registry,
};

const NO_SUPPORT: &str =
    r#"forbid(principal, action, resource) when { resource.group == "support" };"#;

fn found(policies: &[(&str, &str)]) -> Vec<(String, Finding)> {
    let policies: Vec<(PolicyId, String)> =
        policies.iter().map(|(id, text)| (id.parse().unwrap(), canonical(text).unwrap())).collect();
    let found = survey(&policies, &Registry::built_in().unwrap()).unwrap();
    found.into_iter().map(|(id, finding)| (id.to_string(), finding)).collect()
}

#[test]
fn a_policy_that_says_what_it_means_is_found_nothing_of() {
    for text in [
        NO_SUPPORT,
        r#"forbid(principal == Agency::"west-college", action, resource);"#,
        r#"forbid(principal, action, resource) when { context.gate == "statutory_consent" };"#,
        r#"forbid(principal, action, resource) when { context.agreement like "pilot-*" };"#,
        r#"forbid(principal, action, resource) unless { principal.kind == "council" };"#,
        r#"forbid(principal, action, resource == FieldGroup::"inverclyde-council/leaver-form/support");"#,
        r#"forbid(principal, action, resource) when { resource.special_category && context.basis == "public_task" };"#,
    ] {
        assert_eq!(found(&[("mine", text)]), [], "{text}");
    }
}

#[test]
fn names_of_two_kinds_that_are_compared_may_be_the_same() {
    for text in [
        r"forbid(principal, action, resource) when { context.agreement == context.flow };",
        r"forbid(principal, action, resource) when { context.flow == resource.group };",
        r"forbid(principal, action, resource) when { context.agreement != context.flow };",
    ] {
        assert_eq!(found(&[("mine", text)]), [], "{text}");
    }
}

#[test]
fn a_policy_that_can_never_forbid_is_found() {
    for text in [
        r#"forbid(principal, action, resource) when { context.gate == "statutary_consent" };"#,
        r#"forbid(principal, action, resource) when { resource.group == "suport" };"#,
        r#"forbid(principal, action, resource) when { context.purpose == "x" && context.purpose == "y" };"#,
        r#"forbid(principal, action, resource) when { principal.kind == "college" && principal.kind == "council" };"#,
        r#"forbid(principal == Agency::"a", action, resource) when { resource.publisher == Agency::"a" };"#,
    ] {
        assert_eq!(
            found(&[("mine", text)]),
            [("mine".to_owned(), Finding::NeverForbids)],
            "{text}"
        );
    }
}

#[test]
fn a_policy_that_forbids_everything_is_found() {
    let all = found(&[("mine", "forbid(principal, action, resource);")]);
    assert_eq!(all, [("mine".to_owned(), Finding::ForbidsAll)]);
}

#[test]
fn of_two_policies_the_one_that_adds_nothing_is_found() {
    let narrower = r#"forbid(principal, action, resource) when { resource.group == "support" && principal.kind == "college" };"#;
    let beside = |id: &str| Finding::AddsNothing { beside: id.parse().unwrap() };
    let pair = found(&[("narrower", narrower), ("wider", NO_SUPPORT)]);
    assert_eq!(pair, [("narrower".to_owned(), beside("wider"))]);
    let twice = found(&[("first", NO_SUPPORT), ("second", NO_SUPPORT)]);
    assert_eq!(twice, [("second".to_owned(), beside("first"))]);
}

#[test]
fn policies_that_tell_too_much_apart_are_not_surveyed() {
    let text = r#"forbid(principal, action, resource) when { principal.kind == "college" && resource.publisher.kind == "council" && context.purpose == "operation" && context.basis == "consent" && context.gate == "none" && resource.group == "support" && context.agreement == "a" && context.flow == "b" };"#;
    let policies = [("mine".parse().unwrap(), canonical(text).unwrap())];
    assert_eq!(survey(&policies, &Registry::built_in().unwrap()), None);
}
