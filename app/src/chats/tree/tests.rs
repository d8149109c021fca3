//! Tests of trees.

use super::*;

fn message(id: Id, parent: Option<Id>, role: Role, text: &str) -> Message {
    Message { id, created: id, ..Message::new(parent, role, text, Status::Done) }
}

/// 1 ─ 2 ─ 3 ─ 4, where 5 is a retry of 2, and 6 an edit of 1 with its reply 7.
fn tree() -> Tree {
    let mut tree = Tree::default();
    tree.add(message(1, None, Role::User, "a"));
    tree.add(message(2, Some(1), Role::Model, "b"));
    tree.add(message(3, Some(2), Role::User, "c"));
    tree.add(message(4, Some(3), Role::Model, "d"));
    tree.add(message(5, Some(1), Role::Model, "e"));
    tree.add(message(6, None, Role::User, "f"));
    tree.add(message(7, Some(6), Role::Model, "g"));
    tree
}

#[test]
fn branches_are_switched_and_remembered() {
    let mut tree = tree();
    assert_eq!(tree.path(), [6, 7]);
    assert_eq!(tree.sibling_position(6), (1, 2));
    tree.show_sibling(6, -1);
    assert_eq!(tree.path(), [1, 5], "the retry was shown last");
    tree.show_sibling(5, -1);
    assert_eq!(tree.path(), [1, 2, 3, 4]);
    tree.show_sibling(1, 1);
    tree.show_sibling(6, -1);
    assert_eq!(tree.path(), [1, 2, 3, 4], "and now the first reply was");
    tree.show_sibling(1, -1);
    tree.show_sibling(4, 1);
    assert_eq!(tree.path(), [1, 2, 3, 4], "there is nothing beyond the ends");
}

#[test]
fn a_tree_is_the_same_after_a_restart() {
    let tree = tree();
    let again = Tree::new(tree.messages().cloned().collect(), Some(4));
    assert_eq!(again.path(), [1, 2, 3, 4]);
    assert_eq!(again.sibling_position(2), (0, 2));
    assert_eq!(Tree::new(tree.messages().cloned().collect(), Some(99)).path(), [6, 7]);
}

#[test]
fn orphans_and_cycles_are_shown() {
    let messages = vec![
        message(1, Some(99), Role::User, "a"),
        message(2, Some(3), Role::User, "b"),
        message(3, Some(2), Role::Model, "c"),
        message(4, Some(4), Role::User, "d"),
    ];
    let tree = Tree::new(messages, None);
    assert_eq!(tree.messages().filter(|message| message.parent.is_none()).count(), 3);
    assert_eq!(tree.sibling_position(1), (0, 3));
    assert_eq!(tree.path_to(2), [3, 2], "only one link of a cycle is cut");
}

#[test]
fn a_message_is_shown_with_the_branch_below_it() {
    let mut tree = tree();
    tree.show_through(2);
    assert_eq!(tree.path(), [1, 2, 3, 4]);
    tree.add_hidden(message(8, Some(6), Role::Model, "h"));
    assert_eq!(tree.path(), [1, 2, 3, 4]);
    tree.show_through(6);
    assert_eq!(tree.path(), [6, 7], "what was shown last");
}

/// Walking to the root from every message would take minutes.
#[test]
fn a_long_chat_is_read_at_once() {
    let count = 200_000;
    let messages = (1..=count).rev().map(|id| message(id, Some(id - 1).filter(|id| *id > 0), Role::User, "a"));
    let started = std::time::Instant::now();
    let tree = Tree::new(messages.collect(), None);
    assert_eq!(tree.path().len(), count as usize);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn turns_alternate() {
    let mut tree = Tree::default();
    tree.add(message(1, None, Role::User, "a"));
    tree.add(message(2, Some(1), Role::Model, " "));
    tree.add(message(3, Some(2), Role::User, "b"));
    assert_eq!(tree.turns(3), [(Role::User, "a\n\nb".to_owned())]);
    tree.add(message(4, Some(3), Role::Model, ""));
    assert_eq!(tree.turns(4).len(), 2, "a reply that begins is an open turn");
}

#[test]
fn queued_messages_follow_the_reply() {
    let queued = |id, parent| Message { status: Status::Queued, ..message(id, Some(parent), Role::User, "q") };
    let mut tree = Tree::default();
    tree.add(message(1, None, Role::User, "a"));
    tree.add(queued(2, 1));
    tree.add(queued(3, 2));
    tree.add(message(4, Some(1), Role::Model, ""));
    assert_eq!(tree.move_queue_after(4, None), [2]);
    assert_eq!(tree.path(), [1, 4, 2, 3]);
    assert_eq!(tree.sibling_position(4), (0, 1));
    // The same for the reply that replaces it.
    assert!(tree.has_children(4) && !tree.is_followed(4));
    tree.show(Some(1));
    tree.add(message(5, Some(1), Role::Model, ""));
    assert_eq!(tree.move_queue_after(5, Some(4)), [2]);
    assert_eq!(tree.path(), [1, 5, 2, 3]);
    assert!(!tree.has_children(4));
}

#[test]
fn a_removed_message_leaves_its_replies_and_comes_back() {
    let mut tree = tree();
    tree.show_through(2);
    let removed = tree.remove(3).unwrap();
    assert_eq!((removed.message.id, removed.below.as_slice()), (3, &[4][..]));
    assert_eq!(tree.path(), [1, 2, 4]);
    let again = Tree::new(tree.messages().cloned().collect(), Some(4));
    assert_eq!(again.path(), [1, 2, 4], "it is the same after a restart");
    assert_eq!(tree.restore(removed), [4]);
    assert_eq!(tree.path(), [1, 2, 3, 4]);
    assert_eq!(tree.sibling_position(4), (0, 1));
}

#[test]
fn removing_the_last_message_shows_the_branch_beside_it() {
    let mut tree = tree();
    tree.show(Some(5));
    let retry = tree.remove(5).unwrap();
    assert_eq!(tree.path(), [1, 2, 3, 4]);
    let first = tree.remove(1).unwrap();
    assert_eq!(first.below, [2]);
    assert_eq!(tree.path(), [2, 3, 4]);
    assert_eq!(tree.sibling_position(2), (0, 2), "it takes the place of the removed one");
    // The parent is gone for good, so the message becomes a first one.
    tree.restore(retry);
    assert_eq!(tree.path(), [5]);
    for id in [2, 3, 4, 5, 6, 7] {
        assert!(tree.remove(id).is_some());
    }
    assert!(tree.path().is_empty() && tree.leaf().is_none() && tree.remove(7).is_none());
}
