//! What must hold in the interleavings of some threads, for the file as shipped; and that each mistake breaks it.

macro_rules! properties {
    ($copy:ident, $($verdict:tt)*) => {
        mod $copy {
            use std::sync::Arc;
            use std::time::Duration;

            use goatflow_plugin_model::$copy::{Counted, Serving};
            use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
            use loom::thread;

            /// What serves: a number, and whether it was stopped.
            struct Version {
                number: usize,
                is_stopped: AtomicBool,
            }

            type Place = Arc<Serving<Version>>;

            fn version(number: usize) -> Arc<Counted<Version>> {
                Arc::new(Counted::new(Version { number, is_stopped: AtomicBool::new(false) }))
            }

            fn place() -> (Place, Arc<Counted<Version>>) {
                let (place, first) = (Arc::new(Serving::new()), version(1));
                place.admit(true);
                assert!(place.swap(Some(Arc::clone(&first))).is_none());
                (place, first)
            }

            /// A call that must be served, by a version that is not stopped meanwhile; gives its number.
            fn call(place: &Place) -> usize {
                let call = place.enter().expect("no call is lost");
                assert!(!call.is_stopped.load(Ordering::SeqCst), "a stopped version serves");
                thread::yield_now();
                assert!(!call.is_stopped.load(Ordering::SeqCst), "a version was stopped during a call");
                call.number
            }

            fn stop(version: &Counted<Version>) {
                assert!(version.drain(Duration::MAX));
                version.is_stopped.store(true, Ordering::SeqCst);
            }

            $($verdict)*
            fn an_exchange_loses_no_call_and_stops_only_what_serves_none() {
                exchange(1, None);
                // With more threads all interleavings are too many: those in which three of them are cut short.
                exchange(2, Some(3));
            }

            fn exchange(callers: usize, preemptions: Option<usize>) {
                let mut model = loom::model::Builder::new();
                model.preemption_bound = preemptions;
                model.check(move || {
                    let (place, first) = place();
                    // Number of the newest version that serves for certain, and of the newest that may.
                    let (at_least, at_most) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(1)));
                    let callers: Vec<_> = (0..callers)
                        .map(|_| {
                            let (place, at_least, at_most) =
                                (Arc::clone(&place), Arc::clone(&at_least), Arc::clone(&at_most));
                            thread::spawn(move || {
                                let oldest = at_least.load(Ordering::SeqCst);
                                let number = call(&place);
                                let newest = at_most.load(Ordering::SeqCst);
                                assert!((oldest..=newest).contains(&number), "{number} was not current during the call");
                            })
                        })
                        .collect();
                    at_most.store(2, Ordering::SeqCst);
                    let before = place.swap(Some(version(2))).expect("the first version served");
                    assert!(Arc::ptr_eq(&before, &first));
                    at_least.store(2, Ordering::SeqCst);
                    stop(&before);
                    callers.into_iter().for_each(|caller| caller.join().unwrap());
                    assert_eq!(place.current().unwrap().in_flight(), 0);
                });
            }
        }
    };
}

properties!(as_shipped, #[test]);
properties!(look_before_counting, #[test] #[should_panic = "stopped"]);
properties!(never_closed, #[test] #[should_panic = "stopped"]);
properties!(bell_without_lock, #[test] #[should_panic = "deadlock"]);
properties!(one_look, #[test] #[should_panic = "no call is lost"]);

mod further {
    use std::sync::Arc;
    use std::time::Duration;

    use goatflow_plugin_model::as_shipped::{Counted, Refused, Serving};
    use loom::sync::atomic::{AtomicBool, Ordering};
    use loom::thread;

    fn place() -> (Arc<Serving<AtomicBool>>, Arc<Counted<AtomicBool>>) {
        let (place, first) = (Arc::new(Serving::new()), Arc::new(Counted::new(AtomicBool::new(false))));
        place.admit(true);
        place.swap(Some(Arc::clone(&first)));
        (place, first)
    }

    /// What keeps calls out and then finds none in flight, changes something that no call may see change.
    #[test]
    fn who_keeps_calls_out_and_drains_is_alone() {
        loom::model(|| {
            let (place, first) = place();
            let elsewhere = Arc::clone(&place);
            let caller = thread::spawn(move || match elsewhere.enter() {
                Ok(call) => {
                    let is_alone = call.load(Ordering::SeqCst);
                    assert!(!is_alone, "a call was let in");
                }
                Err(refused) => assert_eq!(refused, Refused::Shut),
            });
            place.admit(false);
            assert!(first.drain(Duration::MAX));
            first.store(true, Ordering::SeqCst);
            assert_eq!(place.enter().err(), Some(Refused::Shut));
            first.store(false, Ordering::SeqCst);
            place.admit(true);
            assert!(place.enter().is_ok());
            caller.join().unwrap();
        });
    }

    #[test]
    fn a_version_that_comes_back_serves_again() {
        loom::model(|| {
            let (place, first) = place();
            let elsewhere = Arc::clone(&place);
            let caller = thread::spawn(move || {
                let call = elsewhere.enter().expect("no call is lost");
                assert!(!call.load(Ordering::SeqCst), "a stopped version serves");
            });
            let second = Arc::new(Counted::new(AtomicBool::new(false)));
            place.swap(Some(Arc::clone(&second)));
            place.swap(Some(Arc::clone(&first)));
            assert!(second.drain(Duration::MAX));
            second.store(true, Ordering::SeqCst);
            caller.join().unwrap();
            assert_eq!(first.in_flight(), 0);
        });
    }

    #[test]
    fn two_may_wait_for_the_last_call() {
        loom::model(|| {
            let (place, first) = place();
            let call = place.enter().unwrap();
            place.swap(None);
            let other = Arc::clone(&first);
            let waiting = thread::spawn(move || assert!(other.drain(Duration::MAX)));
            let ending = thread::spawn(move || drop(call));
            assert!(first.drain(Duration::MAX));
            waiting.join().unwrap();
            ending.join().unwrap();
            assert_eq!(place.enter().err(), Some(Refused::Empty));
        });
    }
}
