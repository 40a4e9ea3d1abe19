//! The first acts: an exchange, four agencies with keys of their own, one agreement that all of them signed.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    cli::{
        demo::{
            cast::{
                AGENCIES, AGREEMENT, COLLEGE, COUNCIL, GROUPS_OF_CASELOAD, PROVIDER, RECIPIENTS,
                SDS, content,
            },
            desk::Desk,
            play::{Play, hold, surprise},
        },
        error::CliError,
    },
    pb::ledger::v1::{AgreementContent, Gate},
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
        let whole = content(keys, self.council.now());
        self.turned_down(&whole).await?;
        let draft = self.council.propose(whole).await?;
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
        self.looked_at().await?;
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

    /// A sham consent is refused, and what is not complete is not proposed.
    async fn turned_down(&self, whole: &AgreementContent) -> Result<(), CliError> {
        let mut sham = whole.clone();
        for flow in sham.flows.iter_mut().filter(|flow| flow.recipients.contains(&SDS.to_owned())) {
            flow.gate = Gate::DataProtectionConsent.into();
        }
        let refused = self.council.refused(sham).await?;
        let refused = refused.ok_or_else(|| surprise("a sham consent was not refused"))?;
        self.teller.say(&format!(
            "{COUNCIL} first tried to ask for consent to what {SDS} gets by duty. That would be a sham, since it \
             is shared anyway, and the exchange refused it: {}.",
            refused.what,
        ));
        let mut open = whole.clone();
        if let Some(terms) = &mut open.terms {
            terms.indicators.clear();
            terms.retention.clear();
        }
        let gaps = self.council.missing(open).await?;
        hold(!gaps.is_empty(), "an agreement without indicators and retention is complete")?;
        self.teller.say("Then it left out what a partnership easily forgets. The check named each item and its rule:");
        for gap in &gaps {
            self.teller.item(&format!("{}: {} ({}).", gap.code, gap.message, gap.rule));
        }
        Ok(())
    }

    /// A party looks at what the proposal would change before it approves.
    async fn looked_at(&self) -> Result<(), CliError> {
        let changes = self.college.preview().await?;
        let own = format!("agencies/{COLLEGE}");
        let change = changes.iter().find(|change| change.recipient == own);
        let change = change.ok_or_else(|| surprise("the agreement would change nothing"))?;
        self.teller.say(&format!(
            "Before it approved, {COLLEGE} looked at what would change: it would get {} of leaver's forms, of \
             fewer than five people as things stand, because nobody has consented yet.",
            change.groups_gained.join(", "),
        ));
        hold(change.clients_gaining.is_none(), "a preview counts clients whom nobody knows")
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
