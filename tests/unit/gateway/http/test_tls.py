"""TLS on the API port: new connections get the newest certificate that can be loaded, open streams keep theirs."""

import asyncio
import logging
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from chatscale_gateway import metrics
from chatscale_gateway.http.tls import Certificates, TlsError
from tests.support.certificates import serial_of, write_certificate
from tests.unit.gateway.http.fakes import (
    CHAT,
    Pod,
    World,
    a_gateway,
    answer,
    chat,
    chunk,
    eventually,
    serving,
    start_stream,
)


def certificates_in(folder: Path) -> Certificates:
    return Certificates(folder / "tls.crt", folder / "tls.key")


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    write_certificate(tmp_path, serial=1)
    return certificates_in(tmp_path)


def without_checks(**limits: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that accepts any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, version in limits.items():
        setattr(context, name, version)
    return context


def https(world: World) -> str:
    return world.url.replace("http:", "https:")


async def served_serial(world: World, server_name: str | None = None) -> int:
    """The serial number that a new connection gets."""
    connection = await asyncio.open_connection(
        "127.0.0.1", world.gateway.ports.api, ssl=without_checks(), server_hostname=server_name or ""
    )
    reader, writer = connection
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    assert reader is not None
    return serial_of(der)


async def test_a_client_that_verifies_the_certificate_gets_its_answer(tmp_path: Path, certificates: Certificates):
    trusting = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    async with (
        serving(Pod()) as pod,
        a_gateway(pod, certificates=certificates) as world,
        aiohttp.ClientSession() as client,
    ):
        for stream in (False, True):
            async with client.post(https(world) + CHAT, json=chat(stream=stream), ssl=trusting) as response:
                assert response.status == 200
                assert await response.read()
        assert [line["client"] for line in world.lines] == ["127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize("server_name", ["localhost", None], ids=["with a server name", "without one"])
async def test_a_new_certificate_counts_for_new_connections(
    tmp_path: Path, certificates: Certificates, server_name: str | None
):
    async with a_gateway(certificates=certificates) as world:
        assert await served_serial(world, server_name) == 1
        write_certificate(tmp_path, serial=2)
        certificates.reload()
        assert await served_serial(world, server_name) == 2


async def test_an_open_stream_survives_a_new_certificate(tmp_path: Path, certificates: Certificates):
    go_on = asyncio.Event()

    async def wait_for_the_change(http: web.Request) -> web.StreamResponse:
        response = await start_stream(http)
        await response.write(chunk("before"))
        await go_on.wait()
        await response.write(chunk("after"))
        await response.write(b"data: [DONE]\n\n")
        return response

    async with (
        serving(Pod(behaviour=wait_for_the_change)) as pod,
        a_gateway(pod, certificates=certificates) as world,
        aiohttp.ClientSession() as client,
        client.post(https(world) + CHAT, json=chat(stream=True), ssl=without_checks()) as response,
    ):
        await response.content.readuntil(b"before")
        write_certificate(tmp_path, serial=2)
        certificates.reload()
        assert await served_serial(world) == 2
        go_on.set()
        rest = (await response.read()).decode()
    assert "after" in rest
    assert rest.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("broken", ["no PEM at all", "", "another key", "missing"])
async def test_a_broken_certificate_is_reported_once_and_the_former_one_stays(
    tmp_path: Path, certificates: Certificates, broken: str, caplog: pytest.LogCaptureFixture
):
    failed = metrics.TLS_RELOADS.labels("failed")
    before = failed._value.get()
    async with a_gateway(certificates=certificates) as world:
        if broken == "another key":
            other = tmp_path / "other"
            other.mkdir()
            write_certificate(other, serial=3)
            (tmp_path / "tls.key").write_bytes((other / "tls.key").read_bytes())
        elif broken == "missing":
            (tmp_path / "tls.crt").unlink()
        else:
            (tmp_path / "tls.crt").write_text(broken)
        with caplog.at_level(logging.INFO):
            certificates.reload()
            certificates.reload()
        assert [record.message for record in caplog.records] == ["the former certificate stays in use"]
        assert str(tmp_path / "tls.crt") in vars(caplog.records[0])["why"]
        assert failed._value.get() == before + 1
        assert metrics.TLS_RELOAD_FAILING._value.get() == 1
        assert await served_serial(world) == 1

        write_certificate(tmp_path, serial=4)
        certificates.reload()
        assert await served_serial(world) == 4
        assert metrics.TLS_RELOAD_FAILING._value.get() == 0


async def test_the_files_are_read_again_without_a_restart(tmp_path: Path, certificates: Certificates):
    loaded = metrics.TLS_RELOADS.labels("loaded")
    before = loaded._value.get()
    watch = asyncio.create_task(certificates.reload_forever(period_s=0.01))
    write_certificate(tmp_path, serial=2)
    await eventually(lambda: loaded._value.get() > before)
    watch.cancel()


async def test_versions_before_1_2_are_refused(certificates: Certificates):
    async with a_gateway(certificates=certificates) as world, aiohttp.ClientSession() as client:
        async with client.get(
            https(world) + "/v1/models", ssl=without_checks(maximum_version=ssl.TLSVersion.TLSv1_2)
        ) as ok:
            assert ok.status == 200
        with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
            old = without_checks(minimum_version=ssl.TLSVersion.TLSv1_1, maximum_version=ssl.TLSVersion.TLSv1_1)
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get(https(world) + "/v1/models", ssl=old)


async def test_plain_http_on_the_tls_port_is_closed(certificates: Certificates):
    async with serving(Pod(behaviour=answer)) as pod, a_gateway(pod, certificates=certificates) as world:
        with pytest.raises(aiohttp.ClientConnectionError):
            await world.client.post(CHAT, json=chat())
        assert pod.bodies == []


def test_a_first_certificate_that_cannot_be_loaded_is_an_error_that_names_the_files(tmp_path: Path):
    with pytest.raises(TlsError, match=r"tls.crt cannot be read: No such file"):
        certificates_in(tmp_path)
    write_certificate(tmp_path, serial=1)
    (tmp_path / "tls.key").write_text("nothing")
    with pytest.raises(TlsError, match=r"tls.key are no certificate with its key in PEM format"):
        certificates_in(tmp_path)
