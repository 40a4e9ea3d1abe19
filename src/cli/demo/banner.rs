//! What the demo says before it waits: every command in it runs as it is pasted.

use std::path::Path;

use crate::cli::demo::{
    cast::{COLLEGE, COUNCIL},
    play::Play,
};

impl Play {
    /// The banner.
    pub(super) fn banner(&self) -> String {
        let program = quoted(&self.program);
        let home = quoted(self.place.home());
        let concordat = format!("{program} --home {home}");
        let data = if self.place.is_temporary() {
            format!("{home}, gone when you stop; keep it with  demo --keep DIR")
        } else {
            format!("{home}, kept when you stop")
        };
        let consent = self.consents.values().next().cloned().unwrap_or_default();
        let mine = quoted(&self.place.home().join("mine.csv"));
        [
            String::new(),
            "Concordat demo is ready. All people are invented.".to_owned(),
            format!("  Records   {}   gRPC, mutual TLS, reflection on", self.exchange.endpoint()),
            format!("  Data      {data}"),
            format!("  Try       {concordat} record watch --as {COLLEGE}"),
            format!("            {concordat} consent withdraw --as {COUNCIL} {consent}"),
            format!("  Next      {concordat} record template leaver-form > {mine}"),
            format!("            {concordat} record import {mine} --dry-run --as {COUNCIL}"),
            "  Stop      Ctrl-C".to_owned(),
        ]
        .join("\n")
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_spaces_is_one_word_to_a_shell() {
        assert_eq!(quoted(Path::new("/tmp/a-b_1.0")), "/tmp/a-b_1.0");
        assert_eq!(quoted(Path::new("/tmp/a b's")), r"'/tmp/a b'\''s'");
    }
}
