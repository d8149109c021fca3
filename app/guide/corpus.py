"""The guide's corpus: reads corpus/*.toml, holds out a tenth of the phrasings, and draws dialogues for training.

A topic has an `answer` and phrasings of its question: the ones written out under `ask`, and those that frames make of what
people call it (`term`), want to do (`do`) or look for (`thing`). What is drawn is varied by paraphrase patterns, synonyms,
wrappers and typos. What is held out is not drawn, nor varied, but a variation of what is drawn may equal it. Phrasings written
after the held-out ones were chosen stand in corpus/later.toml: all of them are trained on but those that a held-out one equals,
so that one version of the guide is asked the same as the next.

    python corpus.py             # prints what is wrong with the corpus; what is left waits for the next training
    python corpus.py --export    # writes evaluation.json, too
"""
import hashlib, json, random, re, sys, tomllib
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"

TERM_FRAMES = [
    "What is {}?", "What does {} mean?", "Explain {}", "Tell me about {}", "{}", "{}?", "Define {}", "What do you know about {}?",
    "How does {} work?", "Can you explain {}?", "What's {}?", "I don't understand {}", "Describe {}", "What exactly is {}?",
    "meaning of {}", "What is {} for?", "Please explain {} to me", "What are {}?", "I want to know about {}", "What is meant by {}?",
    "Give me an explanation of {}", "Do you know what {} is?", "Why is there {}?", "I have never heard of {}",
]

DO_FRAMES = [
    "How do I {}?", "How can I {}?", "I want to {}", "{}", "Can I {}?", "How to {}?", "What do I do to {}?", "Is it possible to {}?",
    "Help me {}", "I would like to {}", "How does one {}?", "I need to {}", "Where can I {}?", "Show me how to {}", "Is there a way to {}?",
    "Tell me how to {}", "What is the easiest way to {}?", "I can't {}", "Which key do I press to {}?", "May I {}?", "I am trying to {}", "Explain how to {}",
]

THING_FRAMES = [
    "Is there {}?", "Where is {}?", "Tell me about {}", "{}", "{}?", "What about {}?", "Do you have {}?", "Does Lapidary have {}?", "I am looking for {}",
    "How is {}?", "What is {}?", "I need {}", "Where do I find {}?", "I want to know about {}", "Explain {}", "Can you tell me about {}?", "Any word on {}?", "Is {} important?",
]

WRAPPERS = [
    "hey, {}", "hi, {}", "hello, {}", "please: {}", "{} please", "I have a question: {}", "quick question: {}", "and {}", "ok, {}", "so {}", "one more: {}",
    "sorry, {}", "{} thanks", "can you help me? {}", "I was wondering: {}", "now {}", "next question: {}", "hi guide, {}", "just curious, {}", "well, {}",
]

ASIDES = [
    "I write about {}. {}", "my friend {} asks: {}", "it is for {}. {}", "I am new to this, like {}. {}", "never mind {}. {}", "back to {} later. {}", "no more {}. {}", "I know {}, but {}",
]

PARAPHRASES = [
    (r"^How do I ", ["How can I ", "How could I ", "How to ", "How would I ", "What is the way to ", "Can you tell me how to ", "Tell me how to ",
                     "I want to know how to ", "Is there a way to ", "How does one ", "I want to ", "I'd like to ", "Show me how to ", "What do I do to ", "how do you "]),
    (r"^Can I ", ["Could I ", "Is it possible to ", "May I ", "Am I able to ", "Can you ", "Is there a way to ", "How can I ", "can one "]),
    (r"^What is ", ["What's ", "What exactly is ", "whats ", "Tell me what is ", "Can you tell me what is ", "Do you know what is "]),
    (r"^What are ", ["What exactly are ", "Tell me what are ", "Which are "]),
    (r"^Where is ", ["Where's ", "Where can I find ", "Where do I find "]),
    (r"^Where do I ", ["Where can I ", "Where should I ", "Where does one "]),
    (r"^Which ", ["What ", "Tell me which "]),
    (r"^Does it ", ["Does Lapidary ", "Will it ", "Can it ", "Does this program ", "Does this "]),
    (r"^Is there ", ["Do you have ", "Does it have ", "Is there also "]),
    (r"^Why ", ["How come ", "What is the reason that ", "Tell me why "]),
    (r"^It says ", ["I get the message ", "The program says ", "It tells me ", "I see the error ", "It shows "]),
    (r"^Tell me about ", ["Talk about ", "Say something about ", "I want to hear about "]),
]

# Words of one meaning, near enough in these questions. Any may stand for another.
SYNONYMS = [
    ["delete", "remove", "erase", "get rid of"], ["change", "modify", "alter", "adjust"], ["find", "locate", "look for", "search for"],
    ["stop", "cancel", "abort", "interrupt", "halt", "end"], ["save", "store", "keep"], ["chat", "conversation", "dialogue", "discussion"],
    ["chats", "conversations", "dialogues"], ["reply", "answer", "response"], ["replies", "answers", "responses"], ["fast", "quick", "speedy"],
    ["slow", "sluggish"], ["faster", "quicker"], ["big", "large", "huge"], ["bigger", "larger"], ["small", "little", "tiny"], ["picture", "image", "photo"],
    ["GPU", "graphics card", "video card", "gpu", "graphics adapter"], ["VRAM", "video memory", "GPU memory", "graphics memory"],
    ["error", "problem", "failure"], ["program", "app", "application", "software", "tool"], ["folder", "directory"], ["choose", "pick", "select"],
    ["show", "display"], ["download", "fetch"], ["get", "obtain"], ["start", "launch", "begin"], ["open", "load"], ["use", "run"], ["model", "language model", "LLM", "AI model"],
    ["message", "prompt", "question"], ["messages", "prompts", "questions"], ["computer", "machine", "PC", "laptop"], ["supported", "possible", "allowed"],
    ["correct", "fix", "repair"], ["make", "create"], ["need", "require"], ["work", "function"], ["text", "words"], ["crash", "crashes", "crashed"], ["broken", "damaged", "corrupt"],
    ["internet", "network", "web"], ["private", "secret", "confidential"], ["setting", "option"], ["settings", "options", "preferences"], ["colour", "color"],
    ["shortcut", "hotkey", "key binding"], ["shortcuts", "hotkeys", "keys"], ["memory", "RAM"], ["terminal", "console", "shell", "command line"], ["library", "crate"],
    ["explain", "describe"], ["happens", "occurs"], ["trained", "taught"], ["weights", "parameters"], ["quantisation", "quantization"], ["quantise", "quantize", "compress"],
    ["licence", "license"], ["example", "sample"], ["wrong", "incorrect", "false"], ["window", "screen"], ["version", "release"], ["driver", "graphics driver"],
    ["rename", "retitle"], ["export", "save"], ["copy", "duplicate"], ["regenerate", "redo"], ["size", "dimension"], ["count", "number"], ["quality", "accuracy"],
    ["speed", "performance"], ["purpose", "point", "use"], ["earlier", "previous", "old"], ["several", "many", "multiple"], ["another", "a different"], ["garbage", "nonsense", "gibberish", "rubbish"],
    ["switch", "change"], ["talk", "speak"], ["write", "type"], ["list", "overview"], ["cost", "price"], ["free", "gratis"], ["document", "file"], ["sound", "audio", "voice"],
    ["add", "attach", "insert", "put in"], ["allow", "permit", "let"], ["already", "by now"], ["appear", "show up", "turn up"], ["ask", "inquire", "query"],
    ["automatic", "automatically", "by itself"], ["avoid", "prevent", "get around"], ["bad", "poor", "terrible", "awful"], ["best", "ideal", "optimal"], ["better", "superior", "nicer"],
    ["between", "among"], ["both", "the two"], ["bring", "carry", "take"], ["browser", "web browser", "Chrome", "Firefox"], ["bug", "defect", "fault"], ["build", "compile", "assemble"],
    ["busy", "occupied", "in use"], ["button", "control", "icon"], ["calculate", "compute", "work out"], ["check", "verify", "test", "validate"], ["clear", "wipe", "empty"], ["close", "quit", "exit", "shut"],
    ["code", "source", "snippet"], ["combine", "merge", "join"], ["command", "instruction"], ["compare", "contrast"], ["complete", "whole", "full", "entire"], ["connect", "link up", "hook up"], ["connection", "link"],
    ["continue", "go on", "carry on", "resume", "proceed"], ["convert", "transform", "turn"], ["customise", "customize", "personalise", "tailor"], ["default", "standard", "preset"], ["detect", "recognise", "see", "notice"],
    ["developer", "programmer", "coder"], ["developers", "programmers", "coders"], ["device", "hardware", "adapter"], ["difference", "distinction"], ["different", "other", "another"], ["difficult", "hard", "tricky"], ["disable", "turn off", "switch off", "deactivate"],
    ["disk", "drive", "SSD", "hard drive"], ["easy", "simple"], ["edit", "revise", "amend", "rework"], ["effect", "influence", "impact"], ["efficient", "economical"], ["enable", "turn on", "switch on", "activate"], ["enough", "sufficient"],
    ["enter", "type in", "input"], ["everything", "all"], ["exact", "precise", "accurate"], ["expensive", "costly"], ["explanation", "description"], ["fail", "go wrong", "break"], ["fails", "goes wrong", "breaks"], ["failed", "went wrong", "broke"],
    ["feature", "capability", "function"], ["features", "capabilities", "functions"], ["fit", "fits", "go into"], ["font", "letters", "typeface"], ["forget", "lose track of"], ["freeze", "hang", "lock up", "get stuck"], ["freezes", "hangs", "locks up", "gets stuck"],
    ["gone", "missing", "lost", "vanished", "disappeared"], ["good", "decent", "fine"], ["great", "excellent"], ["hidden", "invisible"], ["hide", "conceal"], ["history", "past chats", "old chats"], ["idea", "concept", "notion"], ["identical", "the same"],
    ["immediately", "at once", "right away", "instantly"], ["important", "crucial", "essential"], ["improve", "enhance", "boost"], ["include", "contain"], ["increase", "raise"], ["inside", "within"], ["install", "set up"], ["instead", "rather"], ["instructions", "directions", "orders"],
    ["kind", "type", "sort"], ["kinds", "types", "sorts"], ["last", "latest", "most recent"], ["learn", "find out", "get to know"], ["length", "size"], ["limit", "cap", "restrict"], ["load", "open", "bring up"], ["local", "on my own machine"],
    ["long", "lengthy"], ["longer", "lengthier"], ["look", "appearance"], ["lose", "drop"], ["many", "lots of", "a lot of"], ["maximum", "largest", "highest", "upper limit"], ["mean", "stand for", "signify"], ["measure", "determine", "gauge"], ["method", "way", "technique", "approach"],
    ["minimum", "smallest", "least"], ["mistake", "error", "slip"], ["mistakes", "errors"], ["mode", "setting"], ["move", "transfer", "migrate"], ["name", "title"], ["new", "fresh"], ["normal", "usual", "ordinary"], ["note", "notice"], ["offline", "without internet", "disconnected"], ["old", "ancient", "outdated"],
    ["online", "on the internet", "connected"], ["only", "just", "solely"], ["order", "sequence"], ["output", "result"], ["own", "personal"], ["page", "screen", "tab"], ["part", "piece", "portion"], ["parts", "pieces", "portions"], ["person", "user", "human"], ["phone", "smartphone", "mobile"], ["place", "location", "spot"],
    ["plain", "simple", "basic"], ["previous", "last", "prior"], ["print", "output", "write out"], ["prompt", "input"], ["provide", "offer", "supply", "give"], ["put", "place"], ["quickly", "fast", "rapidly"], ["random", "arbitrary", "unpredictable"], ["read", "scan"], ["reason", "cause"],
    ["reduce", "lower", "decrease", "cut down"], ["refuse", "reject", "decline"], ["refuses", "rejects", "declines"], ["remember", "recall", "memorise"], ["repeat", "redo", "say again"], ["replace", "swap", "substitute"], ["request", "query", "call"], ["requests", "queries", "calls"], ["reset", "restore"], ["restart", "reboot"],
    ["restore", "recover", "bring back", "retrieve"], ["return", "go back"], ["review", "inspect", "look over"], ["right", "correct"], ["safe", "secure"], ["same", "identical"], ["secure", "protected"], ["send", "submit", "post"], ["sense", "point"], ["separate", "distinct"], ["set", "define", "specify"], ["share", "pass on"],
    ["short", "brief", "concise"], ["shorter", "briefer"], ["single", "one"], ["solve", "fix", "resolve", "sort out"], ["some", "a few"], ["sometimes", "now and then", "occasionally"], ["space", "room"], ["special", "particular"], ["split", "divide", "break up"], ["strange", "weird", "odd", "peculiar"], ["stuck", "frozen"], ["support", "handle", "accept"],
    ["sure", "certain", "confident"], ["task", "job"], ["teach", "train"], ["tell", "inform"], ["temporary", "short-lived"], ["thing", "item"], ["together", "at once", "jointly"], ["total", "overall"], ["track", "follow"], 
    ["true", "real", "correct"], ["trust", "rely on", "believe"], ["try", "attempt"], ["understand", "get", "comprehend", "grasp"], ["undo", "revert", "take back"], ["unload", "release", "free"], ["usable", "fit for use"], ["useful", "helpful", "handy"], ["value", "number", "figure"], ["values", "numbers", "figures"],
    ["wait", "hold on"], ["weak", "feeble", "low-end"], ["website", "site", "web page"], ["wide", "broad"], ["without", "lacking", "minus"], ["word", "term"],
]
SYNONYM = {word: list(dict.fromkeys(other for group in SYNONYMS if word in group for other in group if other != word))
           for word in {word for group in SYNONYMS for word in group if " " not in word}}

CONTRACTIONS = [
    ("can't", "can not"), ("won't", "will not"), ("n't", " not"), ("'s", " is"), ("'m", " am"), ("'re", " are"), ("'ve", " have"), ("'ll", " will"), ("'d", " would"),
]

# What hurried people leave out.
FILLERS = {"do", "does", "i", "the", "a", "an", "my", "is", "are", "can", "to", "it", "of", "you", "please", "me", "be", "that", "this", "in"}

QUESTION_WORDS = set(
    "what which who where when why how and or but if so than then there here its these those for with from on at by as into about have has had "
    "did was were be been am not no yes please tell explain want need know like get any some would could will should we they he one us our your "
    "s t m re ve ll d don".split())


def load():
    """All topics, and the off-topic file."""
    files = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}
    off, more, later, patterns = (files.pop(name) for name in ("offtopic", "phrasings", "later", "patterns"))
    topics = [topic for data in files.values() for topic in data["topic"]]
    ids = {topic["id"] for topic in topics}
    assert ids >= {*more, *later, *patterns["do"], *patterns["thing"]}, "phrasings of no topic"
    for topic in topics:
        for kind in ("do", "thing"):
            topic[kind] = topic.get(kind, []) + patterns[kind].get(topic["id"], [])
        topic["ask"] = list(dict.fromkeys(topic.get("ask", []) + more.get(topic["id"], [])))
        topic["later"] = later.get(topic["id"], [])
    return topics, off


def phrasings(topic):
    """Every way to ask: as written, and what the frames make."""
    framed = [(topic.get("term", []), TERM_FRAMES), (topic["do"], DO_FRAMES), (topic["thing"], THING_FRAMES)]
    made = [frame.format(part) for parts, frames in framed for part in parts for frame in frames]
    return list(dict.fromkeys(topic["ask"] + made))


def is_held_out(topic_id, phrasing):
    """A tenth of the phrasings, by a hash: adding one moves no other."""
    return hashlib.sha256(f"{topic_id}|{phrasing}".encode()).digest()[0] % 10 == 0


def chosen_by_hash(topic):
    """Phrasings to train on, and those that the hash kept from it. The first, which is the plainest, always is trained on."""
    every = phrasings(topic)
    held = [p for p in every[1:] if is_held_out(topic["id"], p)]
    asked = {bare(p) for p in held}
    return [p for p in every if p not in held] + [p for p in topic["later"] if bare(p) not in asked], held


def split(topic):
    """Phrasings to train on, and those held out: of what the hash kept, what no trained phrasing says in the same words."""
    trained, held = chosen_by_hash(topic)
    said = {in_full(p) for p in trained}
    return trained, [p for p in held if in_full(p) not in said]


def bare(phrasing):
    """Its letters and digits: "New chat?" is the same question as "new chat"."""
    return "".join(c for c in phrasing.lower() if c.isalnum())


def in_full(phrasing):
    """`bare`, without contractions: "What's RoPE?" is the same question as "what is rope"."""
    text = phrasing.lower().replace("’", "'")
    for short, full in CONTRACTIONS:
        text = text.replace(short, full)
    return bare(text)


def newness(topic, phrasing):
    """How a phrasing's words meet those that its topic trains on, beside question words: all `same` as those of one phrasing,
    all `known`, some `new`, or `none` known."""
    words = lambda text: {word for word in re.findall(r"\w+", text.lower().replace("'", " ")) if word not in FILLERS | QUESTION_WORDS}
    mine, theirs = words(phrasing), [words(p) for p in split(topic)[0]]
    known = set().union(*theirs)
    return "same" if mine in theirs else "known" if mine <= known else "new" if mine & known else "none"


def typo(text, rng):
    spots = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i - 1].isalpha()]
    if len(spots) < 4:
        return text
    i = rng.choice(spots)
    kind = rng.randrange(4)
    if kind == 0:
        return text[:i] + text[i + 1:]
    if kind == 1:
        return text[:i] + text[i] + text[i:]
    if kind == 2:
        return text[:i] + text[i + 1] + text[i] + text[i + 2:]
    return text[:i] + rng.choice("abcdefghijklmnopqrstuvwxyz") + text[i + 1:]


def synonym(word, rng):
    """The word, or at times another of its meaning; what follows it stays."""
    core = word.rstrip("?!.,")
    others = SYNONYM.get(core) or SYNONYM.get(core.lower())
    if not others or rng.random() < 0.72:
        return word
    return rng.choice(others) + word[len(core):]


def vary(text, rng, bare=False):
    if not bare and rng.random() < 0.5:
        rules = [(p, to) for p, to in PARAPHRASES if re.search(p, text)]
        if rules:
            pattern, to = rng.choice(rules)
            text = re.sub(pattern, rng.choice(to), text, count=1)
    if not bare:
        words, swap = text.split(" "), rng.random() < 0.65
        if len(words) > 2 and rng.random() < 0.15:
            kept = [word for word in words if word.lower() not in FILLERS or rng.random() < 0.3]
            words = kept if len(kept) > 1 else words
        text = " ".join(synonym(word, rng) if swap else word for word in words)
    if not bare and rng.random() < 0.15:
        wrapper = rng.choice(WRAPPERS)
        if not wrapper.startswith("{}") and not re.match(r"[A-Z][A-Z]|I\b", text):
            text = text[:1].lower() + text[1:]
        text = wrapper.format(text)
    if rng.random() < 0.35:
        text = text.lower()
    if rng.random() < 0.3:
        text = text.rstrip("?!.")
    for _ in range(rng.choice([0, 0, 0, 0, 1, 1, 2])):
        text = typo(text, rng)
    return text or "?"



ONSETS = "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr qu r s sc sh sl sn sp st str t th tr v w wh y z".split()
VOWELS = "a e i o u ai ea ee oa oo ou".split()
ENDINGS = "b ck d ft g ll m mp n nd ng nk nt p r rd rn rt s ss st t th x".split() + [""] * 8
SUFFIXES = ["", "", "", "", "s", "s", "er", "ing", "ed", "y", "al", "ism", "ology", "ment", "ness"]


def invented(rng):
    """A word that sounds English and is not in any list, or two."""
    word = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(ENDINGS) for _ in range(rng.choice([1, 1, 2, 2, 3])))
    word += rng.choice(SUFFIXES)
    return word + " " + invented(rng) if rng.random() < 0.15 else word


def sum_or_year(rng):
    a, b = rng.randint(2, 2000), rng.randint(2, 99)
    return rng.choice([
        f"What is {a} {rng.choice(['+', '-', 'times', 'plus', 'minus', 'divided by', 'x', '/', '*'])} {b}?", f"{a} {rng.choice('+-*/')} {b}",
        f"What happened in {rng.randint(800, 2020)}?", f"Who was king in {rng.randint(800, 1900)}?", f"What is the {rng.choice(['square root', 'sine', 'logarithm', 'cube', 'tangent'])} of {a}?",
        f"How many {invented(rng)} are in {a} {invented(rng)}?", f"Is {a} a prime number?", f"What is {b} percent of {a}?", f"Who won in {rng.randint(1900, 2024)}?"])


class Dialogues:
    """Draws dialogues: lists of (question, answer)."""

    def __init__(self, seed, strange=0.32, foreign=0.03, written=0.6, changed=()):
        """`strange` of the questions are off-topic, `foreign` in other languages; of the others, `written` are written out
        rather than made by frames, and a tenth are about the topics `changed`, if there are any."""
        self.strange, self.foreign, self.share_written = strange, foreign, written
        self.rng = random.Random(seed)
        self.topics, self.off = load()
        self.train = {t["id"]: split(t)[0] for t in self.topics}
        self.written = {t["id"]: [p for p in self.train[t["id"]] if p in t["ask"] + t["later"]] for t in self.topics}
        self.generic = next(t for t in self.topics if t.get("generic") == "more")
        self.small = [t for t in self.topics if t.get("bare")]
        self.large = [t for t in self.topics if not t.get("bare")]
        self.changed = [t for t in self.topics if t["id"] in changed]
        nouns = self.off["nouns"]
        self.bare_nouns = [re.sub(r"^(a|an|the|my) ", "", n) for n in nouns]

    def off_topic(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.25:
            return vary(rng.choice(self.off["ask"]), rng)
        if kind < 0.31:
            return vary(sum_or_year(rng), rng)
        frame = rng.choice(self.off["frames"])
        # The world has more words than any list: what the guide does not know at all, it should refuse, so half of the
        # nouns are invented, and some of the rest.
        if rng.random() < 0.5:
            thing = lambda: rng.choice(["", "", "a ", "the ", "my "]) + invented(rng)
        else:
            pool = self.off["nouns"] if rng.random() < 0.6 else self.bare_nouns
            thing = lambda: rng.choice(pool)
        word = lambda slot: invented(rng) if rng.random() < 0.15 else rng.choice(self.off[slot[1]])
        frame = re.sub("<([a-z]+)>", word, frame)
        return vary(frame.format(*(thing() for _ in range(frame.count("{}")))), rng)

    def pool(self, topic):
        """Phrasings to draw from: what is written out is worth more than what frames make, of which there is more."""
        written = self.written[topic["id"]]
        return written if self.rng.random() < self.share_written and written else self.train[topic["id"]]

    def turns(self):
        """One question and its answer, with a follow-up or two where the topic has them."""
        rng = self.rng
        kind = rng.random()
        if kind < self.strange:
            yield self.off_topic(), rng.choice(self.off["answers"])
            return
        if kind < self.strange + self.foreign:
            other = self.off["other_languages"]
            yield vary(rng.choice(other["ask"]), rng, bare=True), other["answer"]
            return
        topic = rng.choice(self.small if kind < self.strange + self.foreign + 0.08 else self.large)
        if self.changed and rng.random() < 0.1:
            topic = rng.choice(self.changed)
        ask = rng.choice(self.pool(topic))
        if not topic.get("bare") and rng.random() < 0.05:
            # A strange word beside a question that it knows is no reason to refuse.
            ask = rng.choice(ASIDES).format(rng.choice(self.off["nouns"]) if rng.random() < 0.5 else invented(rng), ask)
        yield vary(ask, rng, topic.get("bare", False)), topic["answer"]
        if topic.get("follow") and rng.random() < 0.5:
            follow = rng.choice(topic["follow"])
            yield vary(rng.choice(follow["ask"]), rng, bare=True), follow["answer"]
        elif not topic.get("bare") and rng.random() < 0.12:
            yield vary(rng.choice(self.train[self.generic["id"]]), rng, bare=True), topic.get("more", self.generic["answer"])

    def crossed(self):
        """A question that has words of two phrasings of one topic, and its answer. Users combine words as no phrasing does."""
        rng = self.rng
        topic = rng.choice(self.large)
        pool = self.pool(topic)
        one, other = (rng.choice(pool).rstrip("?!.").split(" ") for _ in range(2))
        if rng.random() < 0.5:
            words = one[:rng.randint(0, len(one))] + other[rng.randint(0, len(other)):]
        else:
            words = [word for word in one + other if rng.random() < 0.55]
        words = words if len(words) > 1 else one
        if rng.random() < 0.3:
            rng.shuffle(words)
        question = " ".join(words)
        return vary(question, rng) if rng.random() < 0.6 else question.lower(), topic["answer"]

    def draw(self, turns):
        """A dialogue of at least this many turns."""
        dialogue = []
        while len(dialogue) < turns:
            dialogue += self.turns()
        return dialogue


def can_be_drawn(off):
    """Tells of an off-topic question whether training can draw it, be it with other numbers: it is in the list, or is a frame
    filled with listed words."""
    nouns = off["nouns"] + [re.sub(r"^(a|an|the|my) ", "", n) for n in off["nouns"]]
    fill = lambda slot: "(?:" + "|".join({bare(word) for word in (nouns if slot == "{}" else off[slot[1:-1]])}) + ")"
    parts = [re.split("({}|<[a-z]+>)", frame) for frame in off["frames"]]
    frames = [re.compile("".join(fill(part) if i % 2 else bare(part) for i, part in enumerate(frame))) for frame in parts]
    rng = random.Random(0)
    listed = {bare(q) for q in off["ask"]} | {re.sub(r"\d+", "0", bare(sum_or_year(rng))) for _ in range(2000)}

    def drawn(question):
        question = bare(question)
        return question in listed or re.sub(r"\d+", "0", question) in listed or any(frame.fullmatch(question) for frame in frames)

    return drawn


def evaluation():
    """What is held out: on-topic questions with their key terms, off-topic ones, and those in other languages. And
    follow-ups: only what they follow is held out, where the topic has such a phrasing; they themselves are trained on."""
    topics, off = load()
    on = [dict(topic=t["id"], ask=p, keys=t["keys"], written=p in t.get("ask", [])) for t in topics for p in split(t)[1]]
    drawn, foreign = can_be_drawn(off), off["other_languages"]
    asked = {bare(p) for p in foreign["ask"]}
    follow = []
    for t in topics:
        for f in t.get("follow", []):
            held = split(t)[1] or t["ask"][:1]
            follow.append(dict(topic=t["id"], first=held[0], answer=t["answer"], ask=f["ask"][0], keys=f["keys"]))
    return dict(on_topic=on, off_topic=[dict(ask=p) for p in off["held_out"] if not drawn(p)],
                other_languages=[dict(ask=p) for p in foreign["held_out"] if bare(p) not in asked], follow_ups=follow)


REFUSAL, ENGLISH = ["only Lapidary's built-in guide"], ["only English"]
# Where a refusal is a right answer: it says who speaks and what that one cannot do.
REFUSAL_ANSWERS = {"who-are-you", "guide-limits"}


def holds(answer, keys):
    """Whether an answer has all key terms, or one of the alternatives between their bars, as whole words: "IME" is not in "time"."""
    return all(any(has_term(answer.lower(), term.lower()) for term in key.split("|")) for key in keys)


def has_term(text, term):
    before, after = (r"(?<![^\W_])" if term[0].isalnum() else ""), (r"(?![^\W_])" if term[-1].isalnum() else "")
    return re.search(before + re.escape(term) + after, text) is not None


def export():
    """Writes what train.py and the Rust tests ask."""
    held = evaluation()
    held["refusal"], held["english"] = REFUSAL, ENGLISH
    (FOLDER.parent / "evaluation.json").write_text("{\n" + ",\n".join(
        f'"{name}": [\n' + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]" for name, items in held.items()) + "\n}\n", encoding="utf-8")


def findings():
    """What a training should mend first: each would teach, or let pass, what is wrong."""
    topics, off = load()
    refusals = [*off["answers"], off["other_languages"]["answer"]]
    for t in topics:
        for part in [t, *t.get("follow", [])]:
            if not holds(part["answer"], part["keys"]):
                yield f"{t['id']}: {part['answer'][:40]!r}... does not hold its own key terms {part['keys']}"
            for refusal in refusals if t["id"] not in REFUSAL_ANSWERS else []:
                if holds(refusal, part["keys"]):
                    yield f"{t['id']}: {refusal[:40]!r}... would count as right, as it holds {part['keys']}"
    places = {}
    lists = [("off-topic", off["ask"] + off["held_out"]), ("other languages", off["other_languages"]["ask"] + off["other_languages"]["held_out"])]
    for place, asked in [(t["id"], phrasings(t) + t["later"]) for t in topics] + lists:
        for phrasing in asked:
            places.setdefault(bare(phrasing) or phrasing, {}).setdefault(place, phrasing)
    for found in places.values():
        if len(found) > 1:
            yield f"{next(iter(found.values()))!r} is asked of {', '.join(found)}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--export"]:
        export()
    for finding in findings():
        print(finding)
