#!/usr/bin/env python3
"""Publishes one leaver's form as one agency and receives it as another.

It shares no code with the exchange: the stubs are compiled from the .proto files when it runs, into a temporary
directory. The person in the form is invented.
"""

import argparse
import datetime
import os
import pathlib
import sys
import tempfile
import time

import grpc
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
GROUPS_BY_DUTY = ["core", "identity", "contact", "education", "intention"]


def compile_stubs(proto: pathlib.Path, into: str) -> None:
    """Compiles every .proto file under `proto` into importable modules."""
    files = sorted(str(path.relative_to(proto)) for path in proto.rglob("*.proto"))
    google = os.path.join(os.path.dirname(sys.modules["grpc_tools"].__file__), "_proto")
    options = ["protoc", f"-I{proto}", f"-I{google}", f"--python_out={into}", f"--grpc_python_out={into}"]
    if protoc.main(options + files) != 0:
        sys.exit("the .proto files do not compile")
    sys.path.insert(0, into)


def request_id() -> str:
    """A UUIDv7 (RFC 9562): repeating a request under its old id takes effect once."""
    millis = time.time_ns() // 1_000_000
    value = millis << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])


def channel(endpoint: str, profile: pathlib.Path) -> grpc.Channel:
    """Connects with the certificate and key of a profile directory: mutual TLS, no other credential."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(profile / "ca.crt").read_bytes(),
        private_key=(profile / "tls.key").read_bytes(),
        certificate_chain=(profile / "tls.crt").read_bytes(),
    )
    return grpc.secure_channel(endpoint.removeprefix("https://"), credentials)


def leaver_form(today: datetime.date):
    """A valid form of an invented young person who leaves school in the coming summer, at 18."""
    from concordat.record.v1 import lawful_basis_pb2 as basis
    from concordat.record.v1 import leaver_form_pb2 as leaver

    summer = today.year if (today.month, today.day) < (5, 31) else today.year + 1
    form = leaver.LeaverForm()
    form.core.form_date = (today - datetime.timedelta(days=1)).isoformat()
    form.core.status = leaver.LeaverForm.STATUS_PLANNED
    form.identity.source_local_id = f"PY-{time.time_ns()}"
    form.identity.forename = "Mòrag"
    form.identity.surname = "O'Example"
    form.identity.date_of_birth = f"{summer - 18}-04-15"
    form.contact.address_lines.extend(["1 Example Street", "Greenock"])
    form.contact.postcode = "PA15 1LY"
    form.contact.email = "mo@example.org"
    form.education.school_seed_code = "8999991"
    form.education.stage = leaver.LeaverForm.STAGE_S6
    form.education.council_code = "S12000018"
    form.education.statutory_leave_type = leaver.LeaverForm.STATUTORY_LEAVE_TYPE_POST
    form.education.anticipated_leave_date = f"{summer}-05-31"
    form.intention.preferred_routes.append(leaver.LeaverForm.ROUTE_FURTHER_EDUCATION)
    for group in GROUPS_BY_DUTY:
        form.lawful_basis.add(
            group=group,
            article_6=basis.ARTICLE6_BASIS_LEGAL_OBLIGATION,
            legal_power=basis.LEGAL_POWER_POST_16_ORDER_2014,
            notice_version="leavers-2026.1",
        )
    return form


def context():
    """Who acts and why. A system that runs by itself says so."""
    from concordat.ledger.v1 import purpose_pb2 as purpose
    from concordat.v1 import context_pb2 as pb

    return pb.RequestContext(purpose=purpose.PURPOSE_SCHOOL_LEAVER_TRANSITION, unattended=True)


def publish(exchange, form) -> str:
    """Publishes the form; when this returns it is durable."""
    from concordat.v1 import exchange_service_pb2 as pb
    from concordat.v1 import record_pb2

    draft = record_pb2.RecordDraft(record_type="leaver-form", body=form.SerializeToString())
    request = pb.PublishRecordRequest(context=context(), request_id=request_id(), record=draft)
    return exchange.PublishRecord(request).receipt.record


def subscribe(subscriptions, agency: str, subscription: str) -> str:
    """Makes the subscription unless it is there."""
    from concordat.ledger.v1 import subscription_pb2 as command
    from concordat.v1 import subscription_service_pb2 as pb

    create = command.CreateSubscription(subscription=subscription, record_types=["leaver-form"])
    request = pb.CreateSubscriptionRequest(context=context(), request_id=request_id(), create=create)
    try:
        subscriptions.CreateSubscription(request)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:
            raise
    return f"agencies/{agency}/subscriptions/{subscription}"


def receive(exchange, subscription: str, wanted: str):
    """Pulls and acknowledges until the wanted record comes."""
    from concordat.v1 import exchange_service_pb2 as pb

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        request = pb.PullRecordsRequest(
            context=context(), request_id=request_id(), subscription=subscription
        )
        deliveries = exchange.PullRecords(request).deliveries
        if not deliveries:
            time.sleep(0.1)
            continue
        exchange.AcknowledgeRecords(
            pb.AcknowledgeRecordsRequest(
                context=context(),
                request_id=request_id(),
                subscription=subscription,
                through_cursor=deliveries[-1].cursor,
            )
        )
        for delivery in deliveries:
            if delivery.record.name == wanted:
                return delivery.record
    sys.exit("the record did not come")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--endpoint", default="https://localhost:8443", help="where the exchange is")
    arguments.add_argument("--profiles", required=True, type=pathlib.Path, help="directory of the agencies' profiles")
    arguments.add_argument("--publisher", default="inverclyde-council", help="the agency that publishes")
    arguments.add_argument("--recipient", default="skills-development-scotland", help="the agency that receives")
    arguments.add_argument("--proto", type=pathlib.Path, default=PROTO, help="directory of the .proto files")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as stubs:
        compile_stubs(given.proto, stubs)
        from concordat.record.v1 import leaver_form_pb2 as leaver
        from concordat.v1 import exchange_service_pb2_grpc, subscription_service_pb2_grpc

        publisher = channel(given.endpoint, given.profiles / given.publisher)
        recipient = channel(given.endpoint, given.profiles / given.recipient)
        subscriptions = subscription_service_pb2_grpc.SubscriptionServiceStub(recipient)
        subscription = subscribe(subscriptions, given.recipient, "python-example")
        form = leaver_form(datetime.date.today())
        name = publish(exchange_service_pb2_grpc.ExchangeServiceStub(publisher), form)
        print(f"published {name} as {given.publisher}")
        record = receive(exchange_service_pb2_grpc.ExchangeServiceStub(recipient), subscription, name)
        got = leaver.LeaverForm.FromString(record.body)
        if got.identity.source_local_id != form.identity.source_local_id:
            sys.exit("another form came")
        print(f"received {record.name} as {given.recipient}: {', '.join(record.field_groups)}")
        for ground in record.grounds:
            print(f"on the ground of {ground.agreement} version {ground.version}, flow {ground.flow}")


if __name__ == "__main__":
    main()
