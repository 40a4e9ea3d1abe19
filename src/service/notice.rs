//! `NoticeService`: what an agency is told because somebody else, or time, did something that concerns it.

use tonic::{Request, Response, Status};

use crate::{
    machine::{
        read::{self, notice::View},
        state::{
            State,
            agency::AgencyNumber,
            case::Task,
            notice::{
                About, AgreementEvent, CaseEvent, EmergencyEvent, IncidentEvent, RestrictionEvent,
                SuccessionEvent,
            },
        },
    },
    node::Node,
    pb::v1::{self as pb, notice::About as Shown, notice_service_server::NoticeService},
    service::{caller::open, context, name, page::Page, time::timestamp},
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Notices {
    node: Node,
}

impl Notices {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }
}

#[tonic::async_trait]
impl NoticeService for Notices {
    async fn list_notices(
        &self,
        request: Request<pb::ListNoticesRequest>,
    ) -> Result<Response<pb::ListNoticesResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListNoticesRequest { context, after_number, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let filter = pb::ListNoticesRequest { after_number, ..pb::ListNoticesRequest::default() };
        let list = ("ListNotices", &filter);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after = page.after_bytes()?.map_or(after_number, u64::from_be_bytes);
        let (notices, next) = self.node.read(|state| {
            let found = read::notice::list(state, caller.viewer(), after, page.rows_max);
            let notices = found.rows.iter().map(|view| self::message(state, view)).collect();
            (notices, found.next)
        });
        let next = next.map(|number| number.to_be_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListNoticesResponse { notices, next_page_token }))
    }
}

fn message(state: &State, view: &View<'_>) -> pb::Notice {
    let View { number, notice, .. } = view;
    let about = match &notice.about {
        About::Agreement { agreement, version, by, event } => {
            Shown::Agreement(pb::AgreementNotice {
                agreement: name::of(agreement),
                version: *version,
                by: by.map(|by| agency(state, by)).unwrap_or_default(),
                ..told(*event)
            })
        }
        About::Case { case, kind, event: CaseEvent::Overdue(late) } => {
            let overdue = i32::from(task(*late));
            Shown::Case(pb::CaseNotice { case: name::of(case), kind: *kind, overdue })
        }
        About::Incident { agreement, by, event, kind, severity, affected_count } => {
            let event = match event {
                IncidentEvent::Opened => pb::IncidentEvent::Opened,
                IncidentEvent::Closed => pb::IncidentEvent::Closed,
            };
            Shown::Incident(pb::IncidentNotice {
                agreement: name::of(agreement),
                by: agency(state, *by),
                event: i32::from(event),
                kind: *kind,
                severity: *severity,
                affected_count: *affected_count,
            })
        }
        About::Restriction { client, by, event } => {
            let event = match event {
                RestrictionEvent::Restricted => pb::RestrictionEvent::Restricted,
                RestrictionEvent::Lifted => pb::RestrictionEvent::Lifted,
            };
            let by = agency(state, *by);
            let (client, event) = (name::of(client), i32::from(event));
            Shown::Restriction(pb::RestrictionNotice { client, by, event })
        }
        About::Emergency { .. } => Shown::Emergency(emergency(state, view)),
        About::Reading { .. } => Shown::Access(access(state, view)),
        About::ConsentWithdrawn { consent, by } => {
            Shown::Consent(pb::ConsentNotice { consent: name::of(consent), by: agency(state, *by) })
        }
        About::Succession { succession, old, by, event } => {
            Shown::Succession(pb::SuccessionNotice {
                succession: name::of(succession),
                old: agency(state, *old),
                by: by.map(|by| agency(state, by)).unwrap_or_default(),
                ..succeeded(*event)
            })
        }
    };
    pb::Notice { number: *number, time: Some(timestamp(notice.at)), about: Some(about) }
}

fn succeeded(event: SuccessionEvent) -> pb::SuccessionNotice {
    let (event, decline_reason) = match event {
        SuccessionEvent::Proposed => (pb::SuccessionEvent::Proposed, 0),
        SuccessionEvent::Approved => (pb::SuccessionEvent::Approved, 0),
        SuccessionEvent::Settled => (pb::SuccessionEvent::Settled, 0),
        SuccessionEvent::Declined(reason) => (pb::SuccessionEvent::Declined, reason),
        SuccessionEvent::InForce => (pb::SuccessionEvent::InForce, 0),
        SuccessionEvent::Lapsed => (pb::SuccessionEvent::Lapsed, 0),
    };
    let event = i32::from(event);
    pb::SuccessionNotice { event, decline_reason, ..pb::SuccessionNotice::default() }
}

fn agency(state: &State, number: AgencyNumber) -> String {
    state.agency(number).map(|agency| name::of(&agency.id)).unwrap_or_default()
}

fn emergency(state: &State, view: &View<'_>) -> pb::EmergencyNotice {
    let About::Emergency { emergency, by, event, client: _ } = &view.notice.about else {
        return pb::EmergencyNotice::default();
    };
    let row = emergency.and_then(|id| state.emergency(id));
    let (shown, finding, cause) = match *event {
        EmergencyEvent::Opened => (pb::EmergencyEvent::Opened, 0, 0),
        EmergencyEvent::Missed => (pb::EmergencyEvent::Missed, 0, 0),
        EmergencyEvent::Reviewed(finding) => (pb::EmergencyEvent::Reviewed, finding, 0),
        EmergencyEvent::ReviewOverdue => (pb::EmergencyEvent::ReviewOverdue, 0, 0),
        EmergencyEvent::Barred => (pb::EmergencyEvent::Barred, 0, 0),
        EmergencyEvent::Refused(cause) => (pb::EmergencyEvent::Refused, 0, cause),
    };
    pb::EmergencyNotice {
        emergency: emergency.as_ref().map(name::of).unwrap_or_default(),
        event: i32::from(shown),
        by: agency(state, *by),
        category: row.map_or(0, |row| row.category),
        reason: row.map_or(0, |row| row.reason),
        office: row.map_or(0, |row| row.office),
        client: view.client.as_ref().map(name::of).unwrap_or_default(),
        finding,
        cause,
    }
}

fn access(state: &State, view: &View<'_>) -> pb::AccessNotice {
    let About::Reading { record, reader, day: _, reason } = &view.notice.about else {
        return pb::AccessNotice::default();
    };
    let reading = view.reading;
    let emergency = reading.and_then(|reading| reading.emergency);
    let office = emergency.and_then(|id| state.emergency(id)).map_or(0, |row| row.office);
    pb::AccessNotice {
        record: name::of(record),
        client: view.client.as_ref().map(name::of).unwrap_or_default(),
        reader: agency(state, *reader),
        reason: *reason,
        purpose: reading.map_or(0, |reading| reading.purpose),
        count: reading.map_or(0, |reading| reading.count),
        unattended_count: reading.map_or(0, |reading| reading.unattended),
        last_time: reading.map(|reading| timestamp(reading.at)),
        emergency: emergency.as_ref().map(name::of).unwrap_or_default(),
        office,
        reader_office: reading.map_or(0, |reading| reading.office),
    }
}

/// What has to be done about a case.
pub(super) fn task(task: Task) -> pb::CaseTask {
    match task {
        Task::Answer => pb::CaseTask::Answer,
        Task::Acknowledge => pb::CaseTask::Acknowledge,
        Task::TellRegulator => pb::CaseTask::TellRegulator,
    }
}

/// An event, and what goes with it.
fn told(event: AgreementEvent) -> pb::AgreementNotice {
    let mut told = pb::AgreementNotice::default();
    let shown = match event {
        AgreementEvent::Proposed => pb::AgreementEvent::Proposed,
        AgreementEvent::Approved => pb::AgreementEvent::Approved,
        AgreementEvent::Declined(reason) => {
            told.decline_reason = reason;
            pb::AgreementEvent::Declined
        }
        AgreementEvent::Activated => pb::AgreementEvent::Activated,
        AgreementEvent::LeftOut => pb::AgreementEvent::LeftOut,
        AgreementEvent::Suspended(reason) => {
            told.suspend_reason = reason;
            pb::AgreementEvent::Suspended
        }
        AgreementEvent::Resumed => pb::AgreementEvent::Resumed,
        AgreementEvent::Ended => pb::AgreementEvent::Ended,
        AgreementEvent::ReviewNear(days) => {
            told.days_left = days;
            pb::AgreementEvent::ReviewNear
        }
        AgreementEvent::ReviewDue => pb::AgreementEvent::ReviewDue,
        AgreementEvent::ExpiryNear(days) => {
            told.days_left = days;
            pb::AgreementEvent::ExpiryNear
        }
        AgreementEvent::Expired => pb::AgreementEvent::Expired,
        AgreementEvent::SafeguardingEnded => pb::AgreementEvent::SafeguardingEnded,
    };
    told.event = i32::from(shown);
    told
}
