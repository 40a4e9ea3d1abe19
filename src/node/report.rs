//! Reports about a person: ordered first, then unsealed, and cut down to what is about that person.

use bytes::Bytes;

use crate::{
    ledger::Fault,
    machine::{Receipt, Refusal},
    model::id::{CaseId, RecordId},
    node::{Asked, Failure, Node, Outgoing, keys::corrupt},
    pb::ledger::v1 as pb,
};

impl Node {
    /// The bodies of one page of a case's report, after a record (first version). The page is durable before any of them is
    /// unsealed; what is about somebody else is taken out of each.
    ///
    /// # Errors
    /// A malformed field, or a fault. The inner error is the refusal.
    pub async fn make_report(
        &self,
        asked: &Asked,
        (case, after): (CaseId, Option<RecordId>),
    ) -> Result<Result<Vec<Outgoing>, Refusal>, Failure> {
        let bytes = |id: &[u8; 16]| Bytes::copy_from_slice(id);
        let kind = pb::command::Kind::MakeReport(pb::MakeReport {
            case: bytes(case.as_bytes()),
            after: after.map_or_else(Bytes::new, |id| bytes(id.as_bytes())),
        });
        match self.submit(asked, kind, None).await? {
            Ok(Receipt::Released(released)) => {
                let released = released.into_iter().map(|line| (line, Vec::new())).collect();
                let unsealed = self.unseal(released).await?;
                let own: Result<_, Fault> =
                    unsealed.into_iter().map(|line| self.about_the_client(line)).collect();
                Ok(Ok(own?))
            }
            Ok(Receipt::Answer(_) | Receipt::Published { .. } | Receipt::Opened(_)) => {
                Ok(Err(Refusal::NotAvailable))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn about_the_client(&self, line: Outgoing) -> Result<Outgoing, Fault> {
        let name = self.read(|state| {
            state.record_type(line.released.record_type()).map(|row| row.name.clone())
        });
        let known = name.as_ref().and_then(|name| self.registry().record_type(name));
        let known = known
            .ok_or_else(|| Fault::Unusable("a record type is not known; upgrade".to_owned()))?;
        let body = known.without_third_party(&line.body).map_err(|fault| corrupt(&fault))?;
        Ok(Outgoing { body: body.into(), ..line })
    }
}
