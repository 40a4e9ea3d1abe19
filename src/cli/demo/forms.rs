//! The forms go out: the council imports its file, and everybody who may receives.

use std::{collections::BTreeMap, process::Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::cli::{
    demo::{
        cast::{COLLEGE, COUNCIL, PROVIDER, SDS},
        leavers::{Leaver, ROWS, Role},
        minds::{groups_of, local_id, only_groups},
        play::{Play, count, hold, surprise},
    },
    error::CliError,
};

impl Play {
    /// The council imports its file, with the program's own `record import`.
    pub(super) async fn import(&mut self) -> Result<(), CliError> {
        let teller = self.teller;
        teller.act("4  The forms");
        let mut import = Command::new(&self.program);
        import.arg("--home").arg(self.place.home()).args(["--as", COUNCIL, "--output", "ndjson"]);
        import.args(["record", "import"]).arg(self.place.leavers());
        let output = import.stdin(Stdio::null()).kill_on_drop(true).output().await;
        let output = output.map_err(|cause| CliError::file(&self.program, &cause))?;
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.imported(line, &mut reasons)?;
        }
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let all = self.forms.len() + self.refused.len() == ROWS;
        hold(all, &format!("the import did not answer for every row: {told}"))?;
        teller.say(&format!(
            "{COUNCIL} imports {}: {ROWS} rows, of which {} are published and {} are refused, each with its \
             reason and what to do about it:",
            self.place.leavers().display(),
            self.forms.len(),
            self.refused.len(),
        ));
        for (reason, number) in reasons {
            teller.item(&format!("{}, {reason}", count(number, "row", "rows")));
        }
        teller.say(
            "The refused rows are in a rejects file, to be put right and imported. A form is published once \
             however often its file is imported.",
        );
        Ok(())
    }

    /// Notes what became of one row.
    fn imported(
        &mut self,
        line: &[u8],
        reasons: &mut BTreeMap<String, usize>,
    ) -> Result<(), CliError> {
        let unreadable = || surprise("a line of the import does not read");
        let value: Value = serde_json::from_slice(line).map_err(|_| unreadable())?;
        let number = value.get("row").and_then(Value::as_u64).ok_or_else(unreadable)?;
        // Line 1 of the file names the columns.
        let at = number.checked_sub(2).and_then(|at| usize::try_from(at).ok());
        let leaver = at.and_then(|at| self.cohort.leavers.get(at)).ok_or_else(unreadable)?;
        let local_id = leaver.local_id.clone();
        if let Some(record) = value.pointer("/receipt/record").and_then(Value::as_str) {
            self.published(&local_id, record.to_owned());
            return Ok(());
        }
        let reason = value.pointer("/reasons/0").and_then(Value::as_str).ok_or_else(unreadable)?;
        let field = reason.split_once(": ").map_or(reason, |(field, _)| field).to_owned();
        *reasons.entry(reason.to_owned()).or_default() += 1;
        self.refused.insert(number, field);
        Ok(())
    }

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
        let yes =
            self.consents.keys().filter(|local_id| self.forms.contains_key(*local_id)).count();
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
        hold(
            self.forms.contains_key(&at_risk.local_id),
            "the form with a safe contact was refused",
        )?;
        teller.item(&format!(
            "{}'s address endangers somebody, so it lies in a field group of its own, which no flow names: it went \
             to nobody.",
            at_risk.name(),
        ));
        Ok(())
    }
}
