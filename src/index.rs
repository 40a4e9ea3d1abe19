//! The identity index: which client an agency's identifiers mean. In memory only, rebuilt at start by opening the sealed
//! identifiers; never on disk, never in the state.
//!
//! Exact identifiers link and nothing else does: an agency's own id of a client, then the Scottish Candidate Number.
//! Names never link here, so twins stay two clients. Emergency access looks a client up by name, date of birth and postcode;
//! what it finds is decided about before anybody hears of it.
//!
//! INVARIANT (own view): which of an agency's identifiers mean one client follows from what that agency said, in its
//! order, and from nothing else: what others said decides only whether a client that is new to the agency is one that they
//! know. Otherwise an agency would learn from its own receipts that a number is known to somebody (G8).

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;

use crate::{
    model::{
        digest::Digest,
        id::{AgencyId, ClientId},
    },
    pb::ledger::v1::{Identifiers, Person},
};

/// Identifiers to clients.
#[derive(Debug, Default)]
pub struct Index {
    by_local_id: BTreeMap<(AgencyId, String), ClientId>,
    /// Who told that a number means which client, in the order in which it was told.
    by_scn: BTreeMap<String, Vec<(AgencyId, ClientId)>>,
    /// Every client of whom anybody said this number, and who said it.
    all_by_scn: BTreeMap<String, BTreeSet<Said>>,
    /// Every client of whom anybody said these particulars, and who said them.
    by_person: BTreeMap<[u8; 32], BTreeSet<Said>>,
    /// Whom each agency knows, and what it said of them: by it the rest is forgotten without a look at anybody else.
    known_to: BTreeMap<(AgencyId, ClientId), BTreeMap<[u8; 32], Learnt>>,
}

/// One thing that an agency said of a client.
#[derive(Debug)]
struct Learnt {
    local_id: String,
    scn: String,
    person: Option<[u8; 32]>,
    /// Whether the ledger holds it.
    told: bool,
}

/// A client, and the agency that said something of it.
pub type Said = (ClientId, AgencyId);

/// What an agency's identifiers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The client: known before, or the fresh one.
    pub client: ClientId,
    /// Whether the ledger does not hold these identifiers from this agency yet.
    pub news: bool,
}

impl Index {
    /// The client that `identifiers` of `agency` mean; `fresh` if they mean nobody yet, who then is that client.
    ///
    /// The agency's own id outranks the SCN where they disagree: what an agency knows of its own client is not changed by
    /// what another one says. The SCN that stands against it is left where it was.
    pub fn resolve(
        &mut self,
        agency: &AgencyId,
        identifiers: &Identifiers,
        fresh: ClientId,
    ) -> Resolved {
        let client = self.known(agency, identifiers).unwrap_or(fresh);
        let news = !self.holds(agency, identifiers, client);
        if news {
            self.learn(agency, identifiers, client, false);
        }
        Resolved { client, news }
    }

    /// The client that `identifiers` of `agency` mean, if the ledger holds them from this agency already.
    pub fn told_before(&self, agency: &AgencyId, identifiers: &Identifiers) -> Option<ClientId> {
        let client = self.known(agency, identifiers)?;
        self.holds(agency, identifiers, client).then_some(client)
    }

    /// Whether the ledger holds these identifiers of the client from this agency.
    fn holds(&self, agency: &AgencyId, identifiers: &Identifiers, client: ClientId) -> bool {
        let said = self.known_to.get(&(agency.clone(), client));
        let learnt = said.and_then(|said| said.get(&told_digest(identifiers)));
        learnt.is_some_and(|learnt| learnt.told)
    }

    /// The client that `identifiers` of `agency` mean, if they mean somebody. Nothing is learnt.
    pub fn known(&self, agency: &AgencyId, identifiers: &Identifiers) -> Option<ClientId> {
        let Identifiers { local_id, scn, person: _ } = identifiers;
        let by_local_id = || {
            let key = (!local_id.is_empty()).then(|| (agency.clone(), local_id.clone()))?;
            self.by_local_id.get(&key).copied()
        };
        let told = || self.by_scn.get(scn).filter(|_| !scn.is_empty());
        let by_own_scn = || told()?.iter().find(|(by, _)| by == agency).map(|(_, client)| *client);
        let by_others = || {
            let client = told()?.first().map(|(_, client)| *client)?;
            // Two of its clients are not made one by what somebody else said.
            (!self.known_to.contains_key(&(agency.clone(), client))).then_some(client)
        };
        by_local_id().or_else(by_own_scn).or_else(by_others)
    }

    /// Everybody whom an exact identifier may mean, and who says so: the agency's own id of a client, or the Scottish
    /// Candidate Number.
    pub fn by_identifier(&self, agency: &AgencyId, identifiers: &Identifiers) -> BTreeSet<Said> {
        let Identifiers { local_id, scn, person: _ } = identifiers;
        if !local_id.is_empty() {
            let own = self.by_local_id.get(&(agency.clone(), local_id.clone()));
            return own.map(|client| (*client, agency.clone())).into_iter().collect();
        }
        self.all_by_scn.get(scn).cloned().unwrap_or_default()
    }

    /// Everybody of whom somebody said this name, date of birth and postcode, and who did.
    pub fn by_person(&self, person: &Person) -> BTreeSet<Said> {
        let key = person_key(person);
        key.and_then(|key| self.by_person.get(&key)).cloned().unwrap_or_default()
    }

    /// Notes that the ledger holds these identifiers from this agency.
    pub fn told(&mut self, agency: &AgencyId, identifiers: &Identifiers, client: ClientId) {
        self.learn(agency, identifiers, client, true);
    }

    /// Notes that an agency erased a client: it never meets that client again by what others told.
    pub fn part(&mut self, agency: &AgencyId, client: ClientId) {
        let _said = self.known_to.entry((agency.clone(), client)).or_default();
    }

    fn learn(
        &mut self,
        agency: &AgencyId,
        identifiers: &Identifiers,
        client: ClientId,
        told: bool,
    ) {
        let Identifiers { local_id, scn, person } = identifiers;
        let person = person.as_ref().and_then(person_key);
        let said = self.known_to.entry((agency.clone(), client)).or_default();
        let learnt = said.entry(told_digest(identifiers)).or_insert_with(|| Learnt {
            local_id: local_id.clone(),
            scn: scn.clone(),
            person,
            told,
        });
        learnt.told |= told;
        if !local_id.is_empty() {
            self.by_local_id.entry((agency.clone(), local_id.clone())).or_insert(client);
        }
        if !scn.is_empty() {
            let told = self.by_scn.entry(scn.clone()).or_default();
            if !told.iter().any(|(by, _)| by == agency) {
                told.push((agency.clone(), client));
            }
            self.all_by_scn.entry(scn.clone()).or_default().insert((client, agency.clone()));
        }
        if let Some(key) = person {
            self.by_person.entry(key).or_default().insert((client, agency.clone()));
        }
    }

    /// Forgets all that an agency told of a client, which it erased. What others told stays; but the agency never meets
    /// that client again by what they told, or it would learn from its own receipts that they know it (own view).
    pub fn forget(&mut self, agency: &AgencyId, client: ClientId) {
        let known = (agency.clone(), client);
        let said = (client, agency.clone());
        for (_, learnt) in self.known_to.remove(&known).unwrap_or_default() {
            let Learnt { local_id, scn, person, told: _ } = learnt;
            let own = (agency.clone(), local_id);
            if self.by_local_id.get(&own) == Some(&client) {
                let _gone = self.by_local_id.remove(&own);
            }
            if let Some(told) = self.by_scn.get_mut(&scn) {
                told.retain(|one| *one != known);
                if told.is_empty() {
                    let _gone = self.by_scn.remove(&scn);
                }
            }
            part_with(&mut self.all_by_scn, &scn, &said);
            if let Some(person) = person {
                part_with(&mut self.by_person, &person, &said);
            }
        }
        self.part(agency, client);
    }
}

/// Takes one saying out of those under a key.
fn part_with<K: Ord>(all: &mut BTreeMap<K, BTreeSet<Said>>, key: &K, said: &Said) {
    let Some(told) = all.get_mut(key) else { return };
    let _gone = told.remove(said);
    if told.is_empty() {
        let _none = all.remove(key);
    }
}

fn told_digest(identifiers: &Identifiers) -> [u8; 32] {
    let Identifiers { local_id, scn, person } = identifiers;
    let person = person.as_ref().and_then(person_key).unwrap_or_default();
    let parts: [&[u8]; 3] = [local_id.as_bytes(), scn.as_bytes(), &person];
    *Digest::of_parts("concordat.identifiers.v1", &parts).as_bytes()
}

/// What two spellings of one person have in common: letters and digits alone, in lower case. None if anything is missing.
fn person_key(person: &Person) -> Option<[u8; 32]> {
    let Person { forename, surname, date_of_birth, postcode } = person;
    let plain = |text: &String| -> String {
        text.nfc().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let parts = [forename, surname, date_of_birth, postcode].map(plain);
    if parts.iter().any(String::is_empty) {
        return None;
    }
    let parts = parts.each_ref().map(String::as_bytes);
    Some(*Digest::of_parts("concordat.person.v1", &parts).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(byte: u8) -> ClientId {
        ClientId::from_bytes([byte; 16])
    }

    fn identifiers(local_id: &str, scn: &str) -> Identifiers {
        Identifiers { local_id: local_id.to_owned(), scn: scn.to_owned(), person: None }
    }

    #[test]
    fn two_agencies_with_one_scn_mean_one_client() {
        let (council, college) = ("council".parse().unwrap(), "college".parse().unwrap());
        let mut index = Index::default();
        let first = index.resolve(&council, &identifiers("P1", "051234561"), client(1));
        let second = index.resolve(&college, &identifiers("C9", "051234561"), client(2));
        assert_eq!((first.client, second.client), (client(1), client(1)));
        assert!(second.news, "the college's own id of the client is to be kept too");
    }

    #[test]
    fn an_agencys_own_id_outranks_an_scn_that_disagrees() {
        let council = "council".parse().unwrap();
        let mut index = Index::default();
        index.told(&council, &identifiers("P1", "051234561"), client(1));
        index.told(&council, &identifiers("P2", "123456785"), client(2));
        let resolved = index.resolve(&council, &identifiers("P1", "123456785"), client(3));
        assert_eq!(resolved.client, client(1));
    }

    #[test]
    fn a_look_learns_nothing() {
        let council = "council".parse().unwrap();
        let mut index = Index::default();
        let asked = identifiers("P1", "051234561");
        assert_eq!(index.known(&council, &asked), None);
        assert_eq!(index.resolve(&council, &asked, client(1)).client, client(1));
        assert_eq!(index.known(&council, &asked), Some(client(1)));
        assert_eq!(index.known(&"college".parse().unwrap(), &asked), Some(client(1)));
        assert_eq!(index.known(&council, &identifiers("", "")), None);
    }

    #[test]
    fn what_others_say_neither_joins_nor_parts_an_agencys_clients() {
        let (council, college) = ("council".parse().unwrap(), "college".parse().unwrap());
        let said = [
            identifiers("P1", ""),
            identifiers("P1", "051234561"),
            identifiers("P2", "051234561"),
            identifiers("P3", "123456785"),
            identifiers("", "123456785"),
        ];
        let partition = |index: &mut Index| -> Vec<usize> {
            let fresh = (0_u8..).map(client);
            let found: Vec<_> = said
                .iter()
                .zip(fresh)
                .map(|(said, fresh)| index.resolve(&council, said, fresh).client)
                .collect();
            found.iter().map(|one| found.iter().position(|other| other == one).unwrap()).collect()
        };
        let alone = partition(&mut Index::default());
        let mut index = Index::default();
        // The college takes the two numbers for one client, and knows them first.
        index.told(&college, &identifiers("C1", "051234561"), client(101));
        index.told(&college, &identifiers("C1", "123456785"), client(101));
        assert_eq!(partition(&mut index), alone);
        assert_eq!(alone, [0, 0, 0, 3, 3]);
    }

    #[test]
    fn what_an_agency_told_of_a_client_is_forgotten_and_what_others_told_is_not() {
        let (council, college) = ("council".parse().unwrap(), "college".parse().unwrap());
        let mut index = Index::default();
        index.told(&council, &identifiers("P1", "051234561"), client(1));
        index.told(&council, &identifiers("P2", "123456785"), client(2));
        index.told(&college, &identifiers("C1", "051234561"), client(1));
        index.forget(&council, client(1));
        assert_eq!(index.known(&council, &identifiers("P1", "")), None);
        assert_eq!(index.known(&council, &identifiers("P2", "")), Some(client(2)));
        assert_eq!(index.known(&college, &identifiers("", "051234561")), Some(client(1)));
        assert_eq!(index.known(&council, &identifiers("P1", "051234561")), None, "not by others");
        let again = index.resolve(&council, &identifiers("P1", "051234561"), client(9));
        assert_eq!((again.client, again.news), (client(9), true));
    }

    #[test]
    fn a_person_is_found_by_name_birth_and_postcode_however_they_are_spelt_and_links_nobody() {
        let (council, college) = ("council".parse().unwrap(), "college".parse().unwrap());
        let person = |forename: &str, postcode: &str| Person {
            forename: forename.to_owned(),
            surname: "O'Example".to_owned(),
            date_of_birth: "2011-06-15".to_owned(),
            postcode: postcode.to_owned(),
        };
        let mut index = Index::default();
        let said = |local_id: &str, forename: &str| Identifiers {
            person: Some(person(forename, "PA15 1LY")),
            ..identifiers(local_id, "")
        };
        assert_eq!(index.resolve(&council, &said("P1", "Mòrag"), client(1)).client, client(1));
        assert_eq!(index.resolve(&college, &said("C1", "Mòrag"), client(2)).client, client(2));
        assert_eq!(index.resolve(&college, &said("C2", "Eilidh"), client(3)).client, client(3));
        let found = index.by_person(&person("MÒRAG", "pa151ly"));
        assert_eq!(found, BTreeSet::from([(client(1), council), (client(2), college.clone())]));
        let found = index.by_person(&person("Eilidh", "PA15 1LY"));
        assert_eq!(found, BTreeSet::from([(client(3), college)]));
        assert!(index.by_person(&person("Eilidh", "PA15 1LZ")).is_empty());
        assert!(index.by_person(&person("", "PA15 1LY")).is_empty());
    }

    #[test]
    fn nobody_is_linked_without_an_identifier() {
        let council = "council".parse().unwrap();
        let mut index = Index::default();
        let first = index.resolve(&council, &identifiers("", ""), client(1));
        let second = index.resolve(&council, &identifiers("", ""), client(2));
        assert_ne!(first.client, second.client);
    }
}
