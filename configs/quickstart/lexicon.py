"""The words from which the rows of the quickstart pool are put together.

Kept small on purpose: a model of three million weights must be able to know all of them.
"""

WOMEN = (
    "Anna", "Bella", "Clara", "Dora", "Emma", "Flora", "Greta", "Hanna", "Ida", "Julia",
    "Kira", "Lena", "Mia", "Nora", "Olga", "Petra", "Rosa", "Sara", "Tina", "Vera",
)  # fmt: skip
MEN = (
    "Adam", "Ben", "Carl", "David", "Erik", "Felix", "Gustav", "Hugo", "Ivan", "Jonas",
    "Karl", "Leo", "Max", "Noah", "Oscar", "Paul", "Ravi", "Simon", "Tom", "Viktor",
)  # fmt: skip
NAMES = WOMEN + MEN

CITIES = (
    "Athens", "Berlin", "Bern", "Cairo", "Dublin", "Geneva", "Lima", "Lisbon", "Madrid", "Milan",
    "Oslo", "Paris", "Prague", "Quito", "Riga", "Rome", "Tokyo", "Turin", "Vienna", "Warsaw",
)  # fmt: skip
JOBS = (
    "baker", "carpenter", "dentist", "doctor", "driver", "farmer", "gardener", "lawyer", "nurse",
    "painter", "pilot", "plumber", "singer", "tailor", "teacher", "waiter", "writer",
)  # fmt: skip
HOBBIES = (
    "chess", "cycling", "dancing", "drawing", "fishing", "hiking", "knitting", "photography",
    "reading", "rowing", "running", "sailing", "singing", "skiing", "swimming", "tennis",
)  # fmt: skip
PETS = ("bird", "cat", "dog", "goat", "hamster", "horse", "lizard", "parrot", "rabbit", "turtle")
COLOURS = ("black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white")
SEASONS = ("spring", "summer", "autumn", "winter")

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

# Things that can be counted and bought: the plural alone.
GOODS = (
    "apples", "balls", "books", "bottles", "candles", "cards", "coins", "cups", "eggs", "flowers",
    "lemons", "marbles", "pens", "plates", "shells", "stamps", "stickers", "stones",
)  # fmt: skip

GROUPS = {
    "animals": ("bear", "cow", "duck", "fox", "goat", "horse", "lion", "mouse", "sheep", "wolf"),
    "fruits": ("apple", "banana", "cherry", "grape", "lemon", "mango", "orange", "peach", "pear",
               "plum"),
    "tools": ("axe", "chisel", "drill", "hammer", "pliers", "rake", "saw", "shovel", "spade",
              "wrench"),
    "vehicles": ("bicycle", "boat", "bus", "car", "ferry", "plane", "ship", "train", "tram",
                 "truck"),
    "clothes": ("belt", "coat", "dress", "glove", "hat", "jacket", "scarf", "shirt", "shoe",
                "sock"),
    "instruments": ("bell", "cello", "drum", "flute", "guitar", "harp", "horn", "organ", "piano",
                    "violin"),
    "furniture": ("bed", "bench", "bookcase", "chair", "cupboard", "desk", "shelf", "sofa",
                  "stool", "table"),
}  # fmt: skip
WORDS = tuple(sorted(word for words in GROUPS.values() for word in words))

# Present tense with "he", past tense, past participle.
VERBS = (
    ("breaks", "broke", "broken"), ("brings", "brought", "brought"),
    ("buys", "bought", "bought"), ("carries", "carried", "carried"),
    ("cleans", "cleaned", "cleaned"), ("draws", "drew", "drawn"),
    ("finds", "found", "found"), ("fixes", "fixed", "fixed"),
    ("forgets", "forgot", "forgotten"), ("hides", "hid", "hidden"),
    ("keeps", "kept", "kept"), ("loses", "lost", "lost"),
    ("moves", "moved", "moved"), ("opens", "opened", "opened"),
    ("paints", "painted", "painted"), ("sees", "saw", "seen"),
    ("sells", "sold", "sold"), ("steals", "stole", "stolen"),
    ("takes", "took", "taken"), ("throws", "threw", "thrown"),
    ("washes", "washed", "washed"), ("watches", "watched", "watched"),
)  # fmt: skip
# The same verbs in the plural ("they ..."), in the same order.
PLURAL_VERBS = (
    "break", "bring", "buy", "carry", "clean", "draw", "find", "fix", "forget", "hide", "keep",
    "lose", "move", "open", "paint", "see", "sell", "steal", "take", "throw", "wash", "watch",
)  # fmt: skip
# Singular and plural.
PEOPLE = (
    ("artist", "artists"), ("boy", "boys"), ("child", "children"), ("cook", "cooks"),
    ("doctor", "doctors"), ("driver", "drivers"), ("farmer", "farmers"), ("girl", "girls"),
    ("guest", "guests"), ("man", "men"), ("nurse", "nurses"), ("sailor", "sailors"),
    ("student", "students"), ("teacher", "teachers"), ("thief", "thieves"), ("woman", "women"),
)  # fmt: skip
THINGS = (
    ("bag", "bags"), ("basket", "baskets"), ("book", "books"), ("bottle", "bottles"),
    ("box", "boxes"), ("brush", "brushes"), ("chair", "chairs"), ("clock", "clocks"),
    ("dish", "dishes"), ("door", "doors"), ("key", "keys"), ("knife", "knives"),
    ("ladder", "ladders"), ("lamp", "lamps"), ("leaf", "leaves"), ("letter", "letters"),
    ("map", "maps"), ("photo", "photos"), ("shelf", "shelves"), ("toy", "toys"),
)  # fmt: skip
TIMES = ("in the morning", "in the evening", "at noon", "at night", "after lunch", "before dinner")

# Made-up nouns for syllogisms, so that only the premises can decide.
NONCE = ("blick", "dap", "fep", "gorp", "lorp", "mib", "nerk", "pell", "sop", "tam", "vim", "wug")

# Adjective, comparative, superlative, opposite comparative, opposite superlative.
SCALES = (
    ("tall", "taller", "tallest", "shorter", "shortest"),
    ("old", "older", "oldest", "younger", "youngest"),
    ("fast", "faster", "fastest", "slower", "slowest"),
    ("strong", "stronger", "strongest", "weaker", "weakest"),
    ("rich", "richer", "richest", "poorer", "poorest"),
)  # fmt: skip

PRAISE = ("bright", "charming", "delightful", "excellent", "lovely", "perfect", "superb",
          "wonderful")  # fmt: skip
BLAME = ("awful", "boring", "broken", "dirty", "dreadful", "poor", "terrible", "useless")
REVIEWED = ("concert", "film", "garden", "hotel", "lesson", "meal", "museum", "novel", "room",
            "service", "show", "soup", "tour", "view")  # fmt: skip


def article(noun: str) -> str:
    """Returns the noun with "a" or "an" before it."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def listing(items: list[str]) -> str:
    """Returns the items joined by commas, the last one by "and"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
