"""Drives py-eureka-client, which no one here wrote, against the registry at the first argument. Says `ok STEP` for each step that held,
and `restart` when the registry is to be restarted; the file named by the second argument says that it was."""

import asyncio
import os
import sys
import time
from urllib.error import HTTPError

from py_eureka_client import eureka_basic as basic
from py_eureka_client.eureka_client import EurekaClient

URL = sys.argv[1]


def said(step):
    print("ok " + step, flush=True)


async def until(what, ask, seconds=20):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if await ask():
                return
        except Exception:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit("it never came that " + what)


async def status(name="ORDERS", id="10.1.2.3:orders:7001"):
    return (await basic.get_app_instance(URL, name, id)).status


async def main():
    def client(name, port, discovers):
        return EurekaClient(
            should_discover=discovers, eureka_server=URL, app_name=name, instance_ip="10.1.2.3", instance_host="host-" + name, instance_port=port,
            renewal_interval_in_secs=1, duration_in_secs=5, metadata={"zone.name": "a <b> & c", "plain_key": "1"})

    orders, other = client("orders", 7001, False), client("other", 7002, True)
    await orders.start()
    instance = await basic.get_app_instance(URL, "ORDERS", "10.1.2.3:orders:7001")
    assert (instance.status, instance.hostName, instance.port.port, instance.port.enabled) == ("UP", "host-orders", 7001, True)
    assert instance.leaseInfo.durationInSecs == 5 and instance.vipAddress == "orders"
    assert instance.metadata["zone.name"] == "a <b> & c" and instance.metadata["plain_key"] == "1", instance.metadata
    said("register")

    renewed = instance.leaseInfo.lastRenewalTimestamp

    async def is_renewed():
        lease = (await basic.get_app_instance(URL, "ORDERS", "10.1.2.3:orders:7001")).leaseInfo
        return lease.lastRenewalTimestamp > renewed

    await until("it is renewed", is_renewed)
    said("heartbeat")

    await other.start()
    apps = await basic.get_applications(URL)
    assert {app.name for app in apps.applications} >= {"ORDERS", "OTHER"}
    assert apps.appsHashcode == "UP_2_", apps.appsHashcode
    assert len((await basic.get_application(URL, "orders")).up_instances) == 1
    assert [app.name for app in (await basic.get_vip(URL, "orders")).applications] == ["ORDERS"]
    said("lookup")

    before = await basic.get_delta(URL)
    await orders.status_update("OUT_OF_SERVICE")
    assert await status() == "OUT_OF_SERVICE"
    await orders.send_heartbeat()
    assert await status() == "OUT_OF_SERVICE"
    said("override")
    delta = await basic.get_delta(URL)
    assert delta.appsHashcode == "OUT_OF_SERVICE_1_UP_1_", delta.appsHashcode
    assert int(delta.versionsDelta) > int(before.versionsDelta)
    changed = [i for app in delta.applications for i in app.instances if i.app == "ORDERS"]
    assert [i.status for i in changed] == ["OUT_OF_SERVICE"] and changed[0].actionType == "MODIFIED"
    said("delta")

    await basic.delete_status_override(URL, "ORDERS", "10.1.2.3:orders:7001", "0")

    async def is_up():
        return await status() == "UP"

    # It says what it is only when it registers again, which the next heartbeat makes it do. Its own status is still what it was told.
    orders._EurekaClient__instance["status"] = "UP"
    await until("it is up again", is_up)
    said("override-removed")

    # Whoever runs this restarts the registry now.
    print("restart", flush=True)

    async def is_restarted():
        return os.path.exists(sys.argv[2])

    await until("it is restarted", is_restarted)
    await until("it has registered again", is_up)
    said("registered-again")

    # Not by the one that was there before: where a registry comes back between its heartbeat and its look at the changes, this client
    # waits for a lock that it holds itself.
    late = client("late", 7003, True)
    await late.start()
    assert len(late.applications.get_application("ORDERS").up_instances) == 1
    said("seen-by-another")

    await orders.stop()
    # Its thread does not know that it was stopped, and will register again: so it is asked at once.
    try:
        await status()
        raise SystemExit("it is still there")
    except HTTPError as error:
        assert error.code == 404, error
    said("stop")
    said("end")


asyncio.run(main())
