//! Stories: what happens to people, from the break to the last letter. Each is one promise of the design, played out with
//! the real daemon.

mod accounts;
mod application;
mod bad_disk;
mod banks;
mod catch_up;
mod gaps;
mod import;
mod ladders;
mod languages;
mod links;
mod lost_key;
mod outside;
mod plaid_faults;
mod preferences;
mod retention;
mod returned;
mod silence;
mod sweep;

use crate::harness::World;
use relinkd::demo::plaid::Item;

/// The world, one user and one healthy Item.
async fn one_item() -> (World, Item) {
    let world = World::new().await;
    let item = one_item_in(&world).await;
    (world, item)
}

async fn one_item_in(world: &World) -> Item {
    world.user("user-1").await;
    world.item("user-1", crate::harness::bank("First Platypus Bank")).await
}
