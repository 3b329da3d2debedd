from grafana.src.alerts.fleet import FLEET_HOSTS, RARE_HOSTS
from tests.alerts.case import Case, Input, always, steps


def fleet(hosts: int, having: int, unloaded_after: int = 60) -> Input:
    """Hosts that all have ext4, and some of which have another module."""
    inputs: dict[str, str] = {}
    for number in range(1, hosts + 1):
        labels = f'instance="db{number}:10069",job="kmodmon"'
        inputs[f"kmodmon_kernel_tainted{{{labels}}}"] = always(0)
        inputs[f'kmodmon_module_size_bytes{{{labels},module="ext4"}}'] = always(1000)
        inputs[f'kmodmon_module_info{{{labels},module="ext4",srcversion="A"}}'] = always(1)
        if number <= having:
            times = (unloaded_after, 120 - unloaded_after)
            size = steps((16384, times[0]), (None, times[1]))
            inputs[f'kmodmon_module_size_bytes{{{labels},module="odd"}}'] = size
            inputs[f'kmodmon_module_info{{{labels},module="odd",srcversion="B{number % 2}"}}'] = steps(
                (1, times[0]), (None, times[1])
            )
    return inputs


CASES = (
    Case(
        alert="KmodModuleRare",
        fires=fleet(FLEET_HOSTS, 2),
        host=False,
        at="6m",
        labels={"module": "odd"},
        description="Module odd is loaded on 2 hosts of the fleet and on no other: db1:10069 db2:10069.",
        clears="66m",
        miss="four hosts have it",
        near=fleet(FLEET_HOSTS, RARE_HOSTS + 1),
    ),
    Case(
        alert="KmodModuleRare",
        fires=fleet(FLEET_HOSTS, 2),
        host=False,
        at="6m",
        labels={"module": "odd"},
        description="Module odd is loaded on 2 hosts of the fleet and on no other: db1:10069 db2:10069.",
        clears="66m",
        miss="in a small fleet every module is rare",
        near=fleet(FLEET_HOSTS - 1, 2),
    ),
)
