//! `WordsService`: sealed words, for those who wrote them and those whom they are for.

use tonic::{Request, Response, Status};

use crate::{
    machine::state::words::Matter,
    model::{order::Position, violation::Violation},
    node::{Node, Written},
    pb::v1::{self as pb, words_service_server::WordsService},
    service::{
        caller::open,
        context, decision, name,
        page::{Page, ROWS_DEFAULT},
        status,
        time::timestamp,
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct AllWords {
    node: Node,
}

impl AllWords {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }
}

#[tonic::async_trait]
impl WordsService for AllWords {
    async fn read_words(
        &self,
        request: Request<pb::ReadWordsRequest>,
    ) -> Result<Response<pb::ReadWordsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ReadWordsRequest { context, request_id, about, reason, page_token } = message;
        let asked = context::asked(&self.node, &caller, (context, &request_id), None)?;
        let why = context::read_reason(reason)?;
        let matter = matter(&about).map_err(status::violation)?;
        let filter = pb::ReadWordsRequest { about, reason, ..pb::ReadWordsRequest::default() };
        let usage = ("ReadWords", &filter);
        let page = Page::parse(&self.node, &caller, usage, (0, &page_token))?;
        let after = page.after_bytes()?.map(|bytes| Position::new(u64::from_be_bytes(bytes)));
        let decision_id = decision::id(&self.node, &caller, asked.request_id);
        let rows = (after, ROWS_DEFAULT);
        let opened = self.node.open_words(&asked, (matter, why), rows).await;
        let (written, next) = opened
            .map_err(status::failed)?
            .map_err(|refusal| status::refused(refusal, "about", &decision_id))?;
        let next = next.map(|position| position.number().to_be_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        let words = written.into_iter().map(message_of).collect();
        Ok(Response::new(pb::ReadWordsResponse { words, next_page_token, decision_id }))
    }
}

/// What a name means that words may be about.
fn matter(about: &str) -> Result<Matter, Violation> {
    let (collection, _) = about.split_once('/').unwrap_or_default();
    match collection {
        "cases" => name::parse(about, "about").map(Matter::Case),
        "disputes" => name::parse(about, "about").map(Matter::Dispute),
        "emergencies" => name::parse(about, "about").map(Matter::Emergency),
        "consents" => name::parse(about, "about").map(Matter::Consent),
        "holders" => name::parse(about, "about").map(Matter::Holder),
        _ => {
            let text = "words are about one of `cases/ID`, `disputes/ID`, `emergencies/ID`, \
                        `consents/ID` and `holders/ID`";
            Err(Violation::new("about", "MALFORMED_NAME", text))
        }
    }
}

fn message_of(written: Written) -> pb::Words {
    let Written { author, at, text } = written;
    pb::Words { author: name::of(&author), written_time: Some(timestamp(at)), text: Some(text) }
}
