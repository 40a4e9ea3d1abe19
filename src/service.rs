//! The gRPC API: one file per service, each a thin translation between messages and the node.
//!
//! Nothing is decided here. Who may call is one table (`callers`), applied before routing (`caller`); every code that a
//! caller gets is chosen in one place (`status`); what a caller may see is read through `machine::read` alone. Beside
//! those: `context` (who acts and why), `act` (a command and its answer), `name` (resource names), `page` (lists),
//! `token` and `decision` (opaque strings), `gate` (the last check before bytes leave) and `server` (all of it
//! on a listener).

pub mod act;
pub mod agency;
pub mod agreement;
pub mod caller;
pub mod callers;
pub mod case;
pub mod caseload;
pub mod consent;
pub mod context;
pub mod decision;
pub mod disclosure;
pub mod disposal;
pub mod dispute;
pub mod emergency;
pub mod exchange;
pub mod gate;
pub mod ledger;
pub mod name;
pub mod notice;
pub mod page;
pub mod policy;
pub mod rate;
pub mod readable;
pub mod recall;
pub mod server;
pub mod status;
pub mod subscription;
pub mod succession;
pub mod time;
pub mod token;
pub mod words;
