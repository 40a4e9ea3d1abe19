//! What young people say, before the forms, after them, and once more; and whom the voluntary provider serves.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;

use crate::{
    cli::{
        compose,
        demo::{
            cast::{COLLEGE, PROVIDER, RECORD_TYPE, SDS},
            desk::Received,
            leavers::{HEADER, Leaver, Moment, Role, Said, Speaker, Word},
            play::{Play, count, form_of, hold, surprise},
        },
        error::CliError,
    },
    pb::record::v1::{LeaverForm, leaver_form::OfferStatus},
    record::tabular::Layout,
};

impl Play {
    /// What was said with the forms is recorded, before any form is published.
    pub(super) async fn hear(&mut self) -> Result<(), CliError> {
        let teller = self.teller;
        teller.act("3  What the young people say");
        let said = self.said_at(Moment::WithTheForm);
        let (mut yes, mut no, mut by_parents) = (0, 0, 0);
        for said in &said {
            if said.word == Word::No {
                self.council.refuse(said).await?;
                no += 1;
            } else {
                if said.speaker == Speaker::Parent {
                    by_parents += 1;
                }
                let consent = self.council.consent(said).await?;
                self.consents.insert(said.local_id.clone(), consent);
                yes += 1;
            }
        }
        teller.say(&format!(
            "{yes} say yes to {COLLEGE} by name and {no} say no; the council records and signs it. For {by_parents} \
             who are not yet 16 a parent said it, as the 2004 Act has it. Nothing leaves: there are no forms yet.",
        ));
        let got = self.receive(COLLEGE).await?;
        hold(got.is_empty(), "a consent alone released something")
    }

    /// The provider says whom it serves; the council confirms those of whom it knows that it is so.
    pub(super) async fn serve_caseload(&mut self) -> Result<(), CliError> {
        let teller = self.teller;
        teller.act("6  The voluntary provider's own young people");
        let claims = self.cohort.claims.clone();
        for claim in &claims {
            self.provider.claim(&claim.provider_local_id, &claim.scn).await?;
        }
        let early = self.receive(PROVIDER).await?;
        hold(early.is_empty(), "a claim alone released something")?;
        teller.say(&format!(
            "{PROVIDER} claims {} as its own, each by candidate number. Until the council confirms it, a claim \
             gives it nothing, not even whether the council knows the name.",
            count(claims.len(), "young person", "young people"),
        ));
        let mut known = BTreeSet::new();
        for claim in claims.iter().filter(|claim| claim.known_to_council) {
            let leaver = self.cohort.leavers.iter().find(|leaver| leaver.scn == claim.scn);
            let leaver = leaver.ok_or_else(|| surprise("a claim is about nobody"))?;
            known.insert(self.council.client(&leaver.local_id, &leaver.scn).await?);
        }
        let mut confirmed = 0;
        for (client, agency) in self.council.claims().await? {
            if known.contains(&client) {
                self.council.confirm(client, &agency).await?;
                confirmed += 1;
            }
        }
        let came = self.receive_at_least(PROVIDER, confirmed).await?;
        hold(came.len() == confirmed, "the provider got more than was confirmed")?;
        only_groups(&came, PROVIDER)?;
        teller.say(&format!(
            "The council confirms {confirmed} and leaves {} open. {PROVIDER} receives {}, and of each only {}. \
             Each says on what ground it came: {}.",
            claims.len().saturating_sub(confirmed),
            count(came.len(), "form", "forms"),
            groups_of(&came).join(" and "),
            ground_of(&came)?,
        ));
        Ok(())
    }

    /// A yes that comes after the form.
    pub(super) async fn hear_late(&mut self) -> Result<(), CliError> {
        let teller = self.teller;
        teller.act("7  A late yes");
        let leaver = self.leaver(Role::ConsentsLate)?;
        for said in self.said_of(&leaver, Moment::Afterwards, Word::Yes) {
            let consent = self.council.consent(&said).await?;
            self.consents.insert(said.local_id, consent);
        }
        let came = self.receive_at_least(COLLEGE, 1).await?;
        let about = came.iter().map(local_id).collect::<Result<Vec<_>, _>>()?;
        hold(about == [leaver.local_id.clone()], "a late consent released somebody else's form")?;
        only_groups(&came, COLLEGE)?;
        teller.say(&format!(
            "{} had said nothing when the forms were sent, and says yes now. {COLLEGE} receives that form at \
             once, and no other.",
            leaver.name(),
        ));
        Ok(())
    }

    /// Two change their minds, and their forms go on changing.
    pub(super) async fn hear_stop(&mut self) -> Result<(), CliError> {
        let teller = self.teller;
        teller.act("8  Two change their minds");
        let leavers = [self.leaver(Role::Withdraws)?, self.leaver(Role::ChangesMind)?];
        for leaver in &leavers {
            let consent = self.consents.remove(&leaver.local_id);
            let consent = consent.ok_or_else(|| surprise("there is nothing to withdraw"))?;
            self.council.withdraw(&consent).await?;
        }
        let old: Vec<String> =
            leavers.iter().filter_map(|leaver| self.forms.get(&leaver.local_id).cloned()).collect();
        for leaver in &leavers {
            self.publish_offer(leaver).await?;
        }
        let came = self.receive_at_least(SDS, leavers.len()).await?;
        hold(came.iter().all(|received| received.version == 2), "the new versions are not second")?;
        let got = self.receive(COLLEGE).await?;
        hold(got.is_empty(), "something left after its consent was withdrawn")?;
        for record in &old {
            hold(!self.college.may_open(record).await?, "a withdrawn record can be opened")?;
        }
        self.call_back(leavers.len()).await?;
        let [withdrawn, changed] = &leavers;
        teller.say(&format!(
            "{} and {} had said yes, and withdraw it. Then the council publishes a new version of both forms: \
             each now has an offer. {SDS} receives both, by duty. {COLLEGE} receives nothing more: its queue is \
             empty, and the forms that it was sent before cannot be opened again. It is told that there is nothing \
             there, as it would be told of anybody it never heard of.",
            withdrawn.name(),
            changed.name(),
        ));
        teller.say(&format!(
            "The council asked for both forms back, and {COLLEGE} found two recalls before anything else. It \
             deletes one form and says so. Of the other it says nothing, so the council's list of unanswered \
             recalls names {COLLEGE}, with the day on which it was told.",
        ));
        Ok(())
    }

    /// The college answers the recalls of the forms that were withdrawn, but for one.
    async fn call_back(&self, count: usize) -> Result<(), CliError> {
        let recalls = self.college.recalls().await?;
        hold(recalls.len() == count, "not every withdrawn form was recalled")?;
        if let Some(recall) = recalls.first() {
            self.college.deleted(recall).await?;
        }
        let owed = self.council.owed().await?;
        let defaulters: Vec<_> = owed.iter().map(|recall| recall.recipient.as_str()).collect();
        hold(defaulters == [format!("agencies/{COLLEGE}")], "the defaulter is not named")
    }

    /// One of them says yes once more.
    pub(super) async fn hear_again(&mut self) -> Result<(), CliError> {
        let teller = self.teller;
        teller.act("10  A yes once more");
        let leaver = self.leaver(Role::ChangesMind)?;
        for said in self.said_of(&leaver, Moment::Later, Word::Yes) {
            let consent = self.council.consent(&said).await?;
            self.consents.insert(said.local_id, consent);
        }
        let came = self.receive_at_least(COLLEGE, 1).await?;
        let [received] = came.as_slice() else {
            return Err(surprise("a renewed consent released more than one form"));
        };
        hold(local_id(received)? == leaver.local_id, "a renewed consent released another form")?;
        let offer = form_of(received)?.intention.unwrap_or_default().offer_status();
        hold(offer == OfferStatus::Offer, "an old version was released")?;
        teller.say(&format!(
            "{} says yes once more. {COLLEGE} receives the form as it is now, with the offer: the version that it \
             missed. To it that is version {}; what it was not given leaves no gap that it could count.",
            leaver.name(),
            received.version,
        ));
        Ok(())
    }

    /// The council publishes a new version of a form: the college made an offer.
    async fn publish_offer(&mut self, leaver: &Leaver) -> Result<(), CliError> {
        let before = self.forms.get(&leaver.local_id).cloned();
        let before = before.ok_or_else(|| surprise("a form was never published"))?;
        let mut form = self.sent_form(leaver)?;
        form.core.get_or_insert_default().form_date = self.today.to_string();
        form.intention.get_or_insert_default().offer_status = OfferStatus::Offer.into();
        let again = self.council.again(&before, Bytes::from(form.encode_to_vec()));
        let record = self.council.publish_again(&again).await?;
        self.published(&leaver.local_id, record);
        Ok(())
    }

    /// The form as the council's file has it.
    pub(super) fn sent_form(&self, leaver: &Leaver) -> Result<LeaverForm, CliError> {
        let unreadable = || surprise("a row of the file does not read");
        let registry = compose::registry()?;
        let name = RECORD_TYPE.parse()?;
        let record_type = registry.record_type(&name).ok_or_else(unreadable)?;
        let layout = Layout::from_header(record_type, &HEADER).map_err(|_| unreadable())?;
        let at = self.cohort.leavers.iter().position(|other| other.local_id == leaver.local_id);
        let row = at.and_then(|at| self.cohort.rows.get(at)).ok_or_else(unreadable)?;
        let body = layout.read(row).map_err(|_| unreadable())?;
        LeaverForm::decode(body.as_slice()).map_err(|_| unreadable())
    }

    fn said_at(&self, moment: Moment) -> Vec<Said> {
        self.cohort.said.iter().filter(|said| said.moment == moment).cloned().collect()
    }

    fn said_of(&self, leaver: &Leaver, moment: Moment, word: Word) -> Vec<Said> {
        let said = self.said_at(moment).into_iter();
        said.filter(|said| said.local_id == leaver.local_id && said.word == word).collect()
    }
}

/// The council's own id of the person in a form that a recipient may identify.
pub(super) fn local_id(received: &Received) -> Result<String, CliError> {
    Ok(form_of(received)?.identity.unwrap_or_default().source_local_id)
}

/// Holds that nothing came but what the agreement gives a recipient, and that the bytes hold no other group either.
pub(super) fn only_groups(received: &[Received], recipient: &str) -> Result<(), CliError> {
    let agreed = super::cast::groups_agreed(recipient);
    for one in received {
        let known = one.groups.iter().all(|group| agreed.contains(&group.as_str()));
        hold(known, "a recipient got a field group that was not agreed")?;
        let form = form_of(one)?;
        let held = [
            ("core", form.core.is_some()),
            ("identity", form.identity.is_some()),
            ("contact", form.contact.is_some()),
            ("contact-restricted", form.safe_contact.is_some()),
            ("education", form.education.is_some()),
            ("intention", form.intention.is_some()),
            ("outcome", form.outcome.is_some()),
            ("support", form.support.is_some()),
            ("support-special", form.special_support.is_some()),
            ("support-restricted", form.restricted_support.is_some()),
            ("statistics", form.statistics.is_some()),
            ("governance", !form.lawful_basis.is_empty()),
        ];
        let named = |group: &str| one.groups.iter().any(|given| given == group);
        let same = held.iter().all(|(group, present)| !*present || named(group));
        hold(same, "a body holds a field group that its delivery does not name")?;
    }
    Ok(())
}

/// Every field group that came, in the order in which it first did.
pub(super) fn groups_of(received: &[Received]) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for group in received.iter().flat_map(|one| &one.groups) {
        if !groups.contains(group) {
            groups.push(group.clone());
        }
    }
    groups
}

/// The ground of the first record, in words.
fn ground_of(received: &[Received]) -> Result<String, CliError> {
    let ground = received.first().and_then(|one| one.grounds.first());
    let ground = ground.ok_or_else(|| surprise("a record came without a ground"))?;
    let basis = ground.basis().as_str_name().trim_start_matches("LAWFUL_BASIS_").to_lowercase();
    Ok(format!(
        "{} version {}, flow {}, basis {}",
        ground.agreement.trim_start_matches("agreements/"),
        ground.version,
        ground.flow,
        basis.replace('_', " "),
    ))
}
