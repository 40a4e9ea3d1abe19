//! The exchange is killed while it works, and started again on what is on its disk.

use std::{collections::BTreeMap, fs};

use bytes::Bytes;
use futures::{StreamExt, stream};
use prost::Message;

use crate::{
    cli::{
        demo::{
            cast::{COLLEGE, RECIPIENTS, SDS},
            desk::Again,
            leavers::{Leaver, Role},
            play::{Play, count, hold, surprise},
        },
        error::CliError,
    },
    ledger::tree::verify_consistency,
    model::{digest::Digest, order::TreeSize},
};

/// How many new versions are on their way when the exchange is killed.
const ON_THE_WAY: usize = 24;
/// After how many answers it is killed.
const ANSWERED: usize = 8;
/// How many requests are open at once.
const AT_ONCE: usize = 6;

impl Play {
    /// Kills the exchange while new versions are published, starts it again, and shows that nothing is lost and nothing
    /// happened twice.
    pub(super) async fn crash(&mut self) -> Result<(), CliError> {
        let teller = self.teller;
        teller.act("9  Killed in the middle");
        let before = self.operator.checkpoint().await?;
        let path = self.place.checkpoint();
        fs::write(&path, &before.note).map_err(|cause| CliError::file(&path, &cause))?;
        let requests = self.corrections()?;
        let answered = self.publish_until_killed(&requests).await?;
        self.exchange.restart().await?;
        let replayed = self.exchange.replayed();
        self.reconnect().await?;
        let after = self.operator.checkpoint().await?;
        self.continues(&before, &after).await?;
        let mut same = 0;
        for (local_id, again) in &requests {
            let record = self.council.publish_again(again).await?;
            if let Some(first) = answered.get(local_id) {
                hold(
                    *first == record,
                    "an acknowledged record has another name after the restart",
                )?;
                same += 1;
            }
            self.published(local_id, record);
        }
        teller.say(&format!(
            "The schools send {} with another occupation. While they are on their way the exchange is killed with \
             SIGKILL: {} had been acknowledged, and nobody knows of the others. It is started again on its files \
             in {}, and replays the {} its store did not hold yet. The first {} entries of its ledger are those \
             of the checkpoint that the operator had kept: a consistency proof shows it.",
            count(requests.len(), "correction", "corrections"),
            answered.len(),
            self.place.data().display(),
            count(replayed, "entry", "entries"),
            before.size,
        ));
        let mut came = BTreeMap::new();
        for recipient in RECIPIENTS {
            let least = if recipient == SDS { requests.len() } else { 0 };
            let got = self.receive_at_least(recipient, least).await?;
            let versions: Vec<_> = got.iter().map(|one| (&one.client, one.version)).collect();
            let distinct: std::collections::BTreeSet<_> = versions.iter().collect();
            hold(distinct.len() == versions.len(), "a version came twice")?;
            came.insert(recipient, got.len());
        }
        hold(came.get(SDS) == Some(&requests.len()), "a correction was lost or came twice")?;
        hold(self.nothing_was_lost().await?, "what the recipients had was lost")?;
        teller.say(&format!(
            "The council's system repeats all {} requests under their old names. The {same} that were acknowledged \
             get the same answer as before, the others take effect now, none twice: {SDS} receives exactly {} new \
             versions. The withdrawals hold too: {COLLEGE} can still open neither of the two forms.",
            requests.len(),
            requests.len(),
        ));
        Ok(())
    }

    /// New versions of ordinary forms, each under a request of its own.
    fn corrections(&self) -> Result<Vec<(String, Again)>, CliError> {
        let ordinary = |leaver: &&Leaver| {
            leaver.role == Role::Ordinary
                && leaver.at_school
                && self.forms.contains_key(&leaver.local_id)
        };
        let chosen = self.cohort.leavers.iter().filter(ordinary).take(ON_THE_WAY);
        chosen
            .map(|leaver| {
                let before = self.forms.get(&leaver.local_id);
                let before = before.ok_or_else(|| surprise("a form was never published"))?;
                let mut form = self.sent_form(leaver)?;
                form.core.get_or_insert_default().form_date = self.today.to_string();
                form.intention.get_or_insert_default().preferred_occupations =
                    vec!["3213".to_owned(), "5434".to_owned()];
                let again = self.council.again(before, Bytes::from(form.encode_to_vec()));
                Ok((leaver.local_id.clone(), again))
            })
            .collect()
    }

    /// Publishes until the exchange is killed; gives what was acknowledged.
    async fn publish_until_killed(
        &mut self,
        requests: &[(String, Again)],
    ) -> Result<BTreeMap<String, String>, CliError> {
        let Self { council, exchange, .. } = self;
        let council = &*council;
        let mut answers = stream::iter(requests)
            .map(|(local_id, again)| async move { (local_id, council.publish_again(again).await) })
            .buffer_unordered(AT_ONCE);
        let mut answered = BTreeMap::new();
        while let Some((local_id, answer)) = answers.next().await {
            // An error means that the exchange was gone: whether the request took effect is told by repeating it.
            if let Ok(record) = answer {
                answered.insert(local_id.clone(), record);
            }
            if answered.len() == ANSWERED {
                exchange.kill().await?;
            }
        }
        hold(ANSWERED <= answered.len(), "the exchange did not answer before it was killed")?;
        Ok(answered)
    }

    /// Holds that one checkpoint continues the other.
    async fn continues(
        &self,
        before: &crate::pb::ledger::v1::Checkpoint,
        after: &crate::pb::ledger::v1::Checkpoint,
    ) -> Result<(), CliError> {
        let digest = |bytes: &[u8]| {
            Digest::from_slice(bytes).ok_or_else(|| surprise("a hash has not 32 bytes"))
        };
        let path = self.operator.consistency(before.size, after.size).await?;
        let path = path.iter().map(|hash| digest(hash)).collect::<Result<Vec<_>, _>>()?;
        let (from, to) = (digest(&before.root)?, digest(&after.root)?);
        let sizes = (TreeSize::new(before.size), TreeSize::new(after.size));
        verify_consistency((sizes.0, &from), (sizes.1, &to), &path)
            .map_err(|_| surprise("the ledger does not continue the one that was killed"))
    }

    /// Whether the withdrawn forms still cannot be opened by the college.
    async fn nothing_was_lost(&self) -> Result<bool, CliError> {
        for role in [Role::Withdraws, Role::ChangesMind] {
            let leaver = self.leaver(role)?;
            let sent = self.received.get(COLLEGE).into_iter().flatten();
            for received in sent {
                if super::minds::local_id(received)? == leaver.local_id
                    && self.college.may_open(&received.record).await?
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
