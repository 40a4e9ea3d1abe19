//! What an agreement misses: of a version that the exchange has, or of a file before anybody drafts it.

use std::path::PathBuf;

use clap::Args;

use super::document;
use crate::{
    cli::{
        error::{CliError, Exit},
        json, name,
        output::{Column, words},
        session::Session,
    },
    model::id::AgreementId,
    pb::v1::{
        self as pb, agreement_service_client::AgreementServiceClient,
        check_agreement_request::Subject,
    },
};

const GAP: &str = "concordat.v1.AgreementGap";
const COLUMNS: [Column; 4] =
    [("CODE", "code"), ("FIELD", "field"), ("RULE", "rule"), ("WHAT TO DO", "message")];

/// What is checked.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Check {
    /// The agreement.
    #[arg(conflicts_with = "file")]
    agreement: Option<String>,
    /// The version. Default: the latest.
    #[arg(long, default_value_t = 0, hide_default_value = true, requires = "agreement")]
    version: u32,
    /// A content in TOML or JSON that is not drafted yet; `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Check {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let Self { agreement, version, file } = self;
        let subject = match (agreement, file) {
            (_, Some(file)) => Subject::Content(document::content(session, &file).await?.0),
            (Some(text), None) => Subject::Name(name::full::<AgreementId>("agreements", &text)?),
            (None, None) => {
                let error = CliError::new(Exit::Usage, "there is nothing to check");
                return Err(error.fixed_by("name an agreement, or a file with -f"));
            }
        };
        let request = pb::CheckAgreementRequest {
            context: session.context(),
            subject: Some(subject),
            version,
        };
        let answer =
            AgreementServiceClient::new(session.channel()).check_agreement(request).await?;
        let gaps = answer.into_inner().gaps;
        let rows: Vec<_> = gaps.iter().map(|gap| json::of(GAP, gap)).collect();
        if rows.is_empty() {
            words("complete; it can be proposed");
            return if session.output.0 == crate::cli::output::Format::Table {
                Ok(())
            } else {
                session.output.rows(&COLUMNS, &rows)
            };
        }
        session.output.rows(&COLUMNS, &rows)?;
        let what = format!("the agreement misses {} items", rows.len());
        Err(CliError::new(Exit::Invalid, what)
            .because("nothing incomplete is proposed or becomes active")
            .fixed_by("settle what the list says, draft it again and check again"))
    }
}
