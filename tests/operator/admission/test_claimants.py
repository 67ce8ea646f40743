"""Who claims what: the index over clients, against looking through all of them."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.x509.subject import SubjectKind, parse_subject_rule
from holdfast_operator.admission.claimants import Claimant, Claimants, claimant_of, key_of
from holdfast_operator.reconcile.ports import Object
from tests.operator.admission.judged import client, partner, registered

NAMES, IDS, AUDIENCES = ("a", "b", "c"), ("shop.one", "shop.two"), ("https://x.shop.svc", "https://y.shop.svc")
DNS = parse_subject_rule(SubjectKind.DNS, "api.example.com")


@st.composite
def clients(draw: st.DrawFn) -> Object:
    spec: Object = {"clientId": draw(st.sampled_from(IDS))}
    if owned := draw(st.lists(st.sampled_from(AUDIENCES), unique=True)):
        spec["resourceServer"] = {"audiences": owned}
    if draw(st.booleans()):
        spec |= partner(dns="API.example.com")
    return client(draw(st.sampled_from(NAMES)), **spec)


@given(st.lists(st.tuples(clients(), st.booleans()), max_size=12))
def test_the_index_knows_what_looking_through_all_of_them_shows(steps: list[tuple[Object, bool]]) -> None:
    index, plain = Claimants(), dict[str, Claimant]()
    for obj, stays in steps:
        if stays:
            index.put(claimant_of(obj))
            plain[obj["metadata"]["name"]] = claimant_of(obj)
        else:
            index.drop(key_of(obj))
            plain.pop(obj["metadata"]["name"], None)

    everyone = [plain[name] for name in sorted(plain)]
    assert len(index) == len(everyone)
    for client_id in IDS:
        assert list(index.of_client_id(client_id)) == [c for c in everyone if c.client_id == client_id]
    for audience in AUDIENCES:
        assert list(index.of_audience(audience)) == [c for c in everyone if audience in c.audiences]
    assert list(index.of_subject(DNS)) == [c for c in everyone if c.subject is not None]


def test_a_client_that_cannot_be_parsed_claims_what_can_be_read() -> None:
    odd = claimant_of(
        client(
            clientId=7,
            resourceServer={"audiences": "x"},
            authentication={"subject": {"dns": "*.example.com"}},
            certificate=1,
        )
    )

    assert (odd.client_id, odd.audiences, odd.subject, odd.issuer) == ("7", frozenset(), None, None)


def test_the_id_in_force_is_the_one_that_counts() -> None:
    obj = registered(clientId="shop.new")
    obj["status"] = {**obj["status"], "clientId": "shop.old"}

    assert claimant_of(obj).client_id == "shop.old"
