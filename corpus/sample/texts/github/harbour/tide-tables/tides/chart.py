"""Copyright (c) 2020 The Harbour Authors. Licensed under the MIT License."""

from tides.clock import high_water


def chart(port, days):
    """A line a day, a star at each hour of high water."""
    for day in range(days):
        hours = {round(tide.hour) for tide in high_water(port, day)}
        yield "".join("*" if hour in hours else "." for hour in range(24))
