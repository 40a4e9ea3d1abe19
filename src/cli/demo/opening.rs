//! The first acts: an exchange, four agencies with keys of their own, one agreement that all of them signed.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::cli::{
    demo::{
        cast::{
            AGENCIES, AGREEMENT, COLLEGE, COUNCIL, GROUPS_OF_CASELOAD, PROVIDER, RECIPIENTS, SDS,
            content,
        },
        desk::Desk,
        play::{Play, hold, surprise},
    },
    error::CliError,
};

impl Play {
    /// The exchange begins, the agencies enrol.
    pub(super) async fn enrol(&mut self) -> Result<BTreeMap<&'static str, Bytes>, CliError> {
        let teller = self.teller;
        teller.act("1  An exchange");
        teller.say(&format!(
            "A ledger was founded in {} and an exchange serves it at {}, over mutual TLS only. It is a \
             process of its own; everything below speaks gRPC to it.",
            self.place.data().display(),
            self.exchange.endpoint(),
        ));
        let mut keys = BTreeMap::new();
        for (agency, kind) in AGENCIES {
            let secret = self.operator.invite(agency, kind).await?;
            let profile = self.profiles.get(agency).cloned();
            let profile = profile.ok_or_else(|| surprise("an agency has no keys"))?;
            let key = self.desk(agency).enrol(&profile, secret).await?;
            keys.insert(agency, key);
        }
        teller.say(
            "The operator invited four agencies, and each enrolled with a key that it alone holds: \
             inverclyde-council, skills-development-scotland, glen-college (invented) and moving-forward, a \
             voluntary provider (invented). From here on the operator can neither sign for them nor change \
             their keys.",
        );
        Ok(keys)
    }

    /// The agreement is drafted, proposed and approved by everybody.
    pub(super) async fn agree(
        &mut self,
        keys: &BTreeMap<&'static str, Bytes>,
    ) -> Result<(), CliError> {
        let teller = self.teller;
        teller.act("2  An agreement");
        let draft = self.council.propose(content(keys, self.council.now())).await?;
        teller.say(&format!(
            "{COUNCIL} drafted and proposed {AGREEMENT}: the standard leaver's form, for one purpose, by three \
             flows.",
        ));
        teller.item(&format!(
            "To {SDS} by duty (UK GDPR 6(1)(c); Post-16 Education (Scotland) Act 2013 s.20, SSI 2014/116): every \
             leaver, the ten field groups that the duty covers. Nobody is asked for consent, because it would \
             change nothing.",
        ));
        teller.item(&format!(
            "To {COLLEGE} by consent (6(1)(a); Additional Support for Learning Act 2004 s.13): only those who \
             said yes to this college by name.",
        ));
        teller.item(&format!(
            "To {PROVIDER} in the council's public task (6(1)(e); Local Government in Scotland Act 2003 s.20): \
             {}, and only of those whom it serves and the council confirms.",
            GROUPS_OF_CASELOAD.join(" and "),
        ));
        let mut active = false;
        let mut signed = 0;
        for (agency, _kind) in AGENCIES {
            hold(!active, "the agreement was active before everybody had approved it")?;
            active = self.desk(agency).approve(&draft).await?;
            signed += 1;
        }
        hold(active, "the agreement is not active though everybody approved it")?;
        teller.say(&format!(
            "All {signed} approved version {} by signing one hash of its content, {}; with the last signature \
             it became active, and not before. No operator could have done it for them.",
            draft.version,
            short(&draft.content_hash),
        ));
        for recipient in RECIPIENTS {
            self.desk(recipient).subscribe().await?;
        }
        Ok(())
    }

    /// The desk of an agency.
    fn desk(&mut self, agency: &str) -> &mut Desk {
        match agency {
            COUNCIL => &mut self.council,
            SDS => &mut self.sds,
            COLLEGE => &mut self.college,
            PROVIDER => &mut self.provider,
            _operator => &mut self.operator,
        }
    }
}

/// The beginning of a digest, for people.
pub(super) fn short(digest: &[u8]) -> String {
    let text = crate::cli::hex::of(digest);
    let first: String = text.chars().take(12).collect();
    format!("{first}…")
}
