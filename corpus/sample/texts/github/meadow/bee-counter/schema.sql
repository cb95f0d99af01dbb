-- Copyright (c) 2021, The Meadow Authors
-- License: BSD-3-Clause

create table hive (
    id integer primary key,
    meadow text not null,
    painted text
);

create table passage (
    hive integer not null references hive (id),
    at timestamp not null,
    home boolean not null
);

-- Bees at home by hour of the day, over all hives of a meadow.
create view by_hour as
select meadow, extract(hour from at) as hour, sum(case when home then 1 else -1 end) as bees
from passage join hive on passage.hive = hive.id
group by meadow, extract(hour from at);
