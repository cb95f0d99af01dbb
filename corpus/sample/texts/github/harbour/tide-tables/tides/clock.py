#!/usr/bin/env python3
# -*- coding: utf-8 -*-
# Copyright (c) 2020 The Harbour Authors
#
# Permission is hereby granted, free of charge, to any person obtaining a copy
# of this software, to deal in the Software without restriction.

"""When the water is high, from the age of the moon."""

from dataclasses import dataclass

LUNAR_DAY = 24.84  # hours
PORTS = {"Saltmouth": 1.4, "Old Pier": 2.05, "Gull Rock": 5.3}


@dataclass(frozen=True)
class Tide:
    """A high or a low water: hours after midnight, metres above the chart's zero."""

    hour: float
    height: float


def high_water(port: str, moon_age: float) -> list[Tide]:
    """The high waters of one day.

    The first comes with the moon's passage plus the port's own delay, the second half a lunar day later.
    """
    passage = (moon_age % 14.77) / 14.77 * LUNAR_DAY / 2
    first = (passage + PORTS[port]) % (LUNAR_DAY / 2)
    spring = abs(2 * ((moon_age % 14.77) / 14.77) - 1)
    height = 3.1 + 1.4 * spring
    return [Tide(h, height) for h in (first, first + LUNAR_DAY / 2) if h < 24]


if __name__ == "__main__":
    for port in PORTS:
        for tide in high_water(port, moon_age=3.2):
            print(f"{port:12} {int(tide.hour):02}:{int(tide.hour % 1 * 60):02} {tide.height:.1f} m")
