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

#ifndef LAMP_H
#define LAMP_H

#include <stdbool.h>
#include <stdint.h>

struct lamp {
    int pin;
    bool lit;
    void (*write)(int pin, bool lit);
};

bool lamp_is_lit(uint32_t now_ms);
void lamp_step(struct lamp *lamp, uint32_t now_ms);

#endif
