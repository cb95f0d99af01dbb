/*
 * Copyright 2018 The Harbour Authors
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lamp.h"

#define FLASHES 3
#define PERIOD_MS 12000

/* Three flashes, then darkness until the period is over. */
bool lamp_is_lit(uint32_t now_ms)
{
    uint32_t at = now_ms % PERIOD_MS;
    uint32_t slot = at / 500;

    if (slot >= 2 * FLASHES)
        return false;
    return slot % 2 == 0;
}

void lamp_step(struct lamp *lamp, uint32_t now_ms)
{
    bool lit = lamp_is_lit(now_ms);

    if (lit != lamp->lit) {
        lamp->lit = lit;
        lamp->write(lamp->pin, lit);
    }
}
