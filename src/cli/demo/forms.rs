//! The forms go out: the council imports its file, and everybody who may receives.

use crate::cli::{
    demo::{
        cast::{COLLEGE, PROVIDER, SDS},
        leavers::{Leaver, Role},
        minds::{groups_of, local_id, only_groups},
        play::{Play, count, hold, surprise},
    },
    error::CliError,
};

impl Play {
    /// What the first deliveries brought, and what they did not.
    pub(super) async fn deliver(&mut self) -> Result<(), CliError> {
        let teller = self.teller;
        teller.act("5  Who gets what");
        let published = self.forms.len();
        let to_sds = self.receive_at_least(SDS, published).await?;
        hold(to_sds.len() == published, "not every form reached Skills Development Scotland once")?;
        only_groups(&to_sds, SDS)?;
        teller.say(&format!(
            "{SDS} receives all {}: {}.",
            count(to_sds.len(), "form", "forms"),
            groups_of(&to_sds).join(", "),
        ));
        let yes = self.consents.keys().filter(|local_id| self.forms.contains_key(*local_id)).count();
        let to_college = self.receive_at_least(COLLEGE, yes).await?;
        hold(to_college.len() == yes, "the college did not get exactly what was consented")?;
        only_groups(&to_college, COLLEGE)?;
        for received in &to_college {
            let known = self.consents.contains_key(&local_id(received)?);
            hold(known, "the college got a form without consent")?;
        }
        teller.say(&format!(
            "{COLLEGE} receives {}, of those who said yes to it: {}. Of the others it learns nothing, not even that \
             they exist.",
            count(to_college.len(), "form", "forms"),
            groups_of(&to_college).join(", "),
        ));
        let to_provider = self.receive(PROVIDER).await?;
        hold(to_provider.is_empty(), "the provider got a form of nobody's it serves")?;
        teller.say(&format!(
            "{PROVIDER} receives nothing: nobody is in its confirmed caseload yet.",
        ));
        self.tell_of_some(&to_college)
    }

    /// Those whom the story is about.
    fn tell_of_some(&self, to_college: &[super::desk::Received]) -> Result<(), CliError> {
        let teller = self.teller;
        let twins: Vec<&Leaver> =
            self.cohort.leavers.iter().filter(|leaver| leaver.role == Role::Twin).collect();
        let [first, second] = twins.as_slice() else { return Err(surprise("there are no twins")) };
        let reached = |leaver: &Leaver| {
            to_college.iter().any(|one| local_id(one).is_ok_and(|id| id == leaver.local_id))
        };
        hold(reached(first) && !reached(second), "the twins were taken for each other")?;
        teller.item(&format!(
            "{} and {} are twins: one surname, birthday and address, two candidate numbers. They stay two people: \
             only {} said yes, and only that form went to {COLLEGE}.",
            first.name(),
            second.name(),
            first.forename,
        ));
        let young = self.leaver(Role::LeavesAtFifteen)?;
        hold(reached(&young), "a parent's consent did not count")?;
        teller.item(&format!(
            "{} leaves on {}, still 15: the 16th birthday falls in the summer. A parent said yes.",
            young.name(),
            young.leaves,
        ));
        let without = self.leaver(Role::WithoutScn)?;
        hold(self.forms.contains_key(&without.local_id), "a form without a number was refused")?;
        teller.item(&format!(
            "{} came from abroad and has no candidate number yet; the council's own id suffices.",
            without.name(),
        ));
        let exempted = self.leaver(Role::Exempted)?;
        hold(self.forms.contains_key(&exempted.local_id), "an exempted leaver was refused")?;
        teller.item(&format!(
            "{} leaves before the earliest date, which passes because the form says that the council granted an \
             exemption.",
            exempted.name(),
        ));
        let at_risk = self.leaver(Role::AtRisk)?;
        hold(self.forms.contains_key(&at_risk.local_id), "the form with a safe contact was refused")?;
        teller.item(&format!(
            "{}'s address endangers somebody, so it lies in a field group of its own, which no flow names: it went \
             to nobody.",
            at_risk.name(),
        ));
        Ok(())
    }
}
