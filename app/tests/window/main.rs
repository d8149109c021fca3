//! Tests of the window with a scripted engine, driven by accessibility labels.

mod attachments;
mod background;
mod branches;
mod chat_options;
mod crash;
#[path = "../shared/display.rs"]
mod display;
mod end_to_end;
mod failures;
mod files;
mod folders;
mod frames;
mod long_chats;
mod looks;
mod markdown;
mod messages;
mod pictures;
mod prompts;
mod script;
mod scrolling;
mod searching;
mod servers;
mod serving;
mod talking;
mod titles;
mod waiting;
