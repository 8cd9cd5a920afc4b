"""A simulated betting operator: seeded players, their events, and the dirt of real feeds.

It plays the world outside the pipeline, and knows only a bucket and a libpq URL. It shares nothing with the pipeline
but the default time zone.

    World            seed, players, first and last day
    simulate(world)  clean Arrow tables, day by day
    deliver(world)   the same with dirt, as files in S3 and rows of tbl_transactions
"""

from local.simulator.delivery import Delivery, deliver
from local.simulator.dirt import DirtLedger, DirtRates
from local.simulator.simulation import Batch, simulate
from local.simulator.world import World

__all__ = ["Batch", "Delivery", "DirtLedger", "DirtRates", "World", "deliver", "simulate"]
