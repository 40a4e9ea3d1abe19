//! The voice of the demo: sentences, broken to the width of a terminal, to standard output or, where that is kept for
//! data, to standard error.

use std::io::{self, Write};

/// The greatest width of a line, in characters.
const WIDTH: usize = 100;

/// Tells the story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Teller {
    aside: bool,
}

impl Teller {
    /// A teller; `aside` keeps standard output free.
    pub(super) const fn new(aside: bool) -> Self {
        Self { aside }
    }

    /// Begins an act.
    pub(super) fn act(self, title: &str) {
        self.write(&format!("\n{title}\n"));
    }

    /// Tells something, indented below its act.
    pub(super) fn say(self, text: &str) {
        self.write(&broken(text, "  ", "  "));
    }

    /// Tells one of several things.
    pub(super) fn item(self, text: &str) {
        self.write(&broken(text, "    - ", "      "));
    }

    /// Writes lines as they are.
    pub(super) fn lines(self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Nobody listening is no failure: the play goes on.
    fn write(self, text: &str) {
        if self.aside {
            drop(io::stderr().lock().write_all(text.as_bytes()));
        } else {
            let mut stdout = io::stdout().lock();
            drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
        }
    }
}

/// The text in lines of at most [`WIDTH`] characters, the first after `first` and the others after `next`.
fn broken(text: &str, first: &str, next: &str) -> String {
    let mut lines = String::from(first);
    let mut width = first.chars().count();
    let mut begun = false;
    for word in text.split(' ') {
        let letters = word.chars().count();
        if begun && WIDTH < width + 1 + letters {
            lines.push('\n');
            lines.push_str(next);
            width = next.chars().count();
        } else if begun {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += letters;
        begun = true;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal_and_no_word_is_lost() {
        let text = "a leaver's form ".repeat(30);
        let lines = broken(text.trim(), "    - ", "      ");
        assert!(lines.lines().all(|line| line.chars().count() <= WIDTH));
        let words: Vec<&str> = lines.split_whitespace().skip(1).collect();
        assert_eq!(words.join(" "), text.trim());
    }
}
