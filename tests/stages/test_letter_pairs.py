import math
import random

import pytest
from tamis.stages.letter_pairs import BITS, FEWEST, LETTERS, SPREAD, plain_letters, surprise

LANGUAGES = {  # the first article of the Universal Declaration of Human Rights
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with "
    "reason and conscience and should act towards one another in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft "
    "und Gewissen begabt und sollen einander im Geiste der Brüderlichkeit begegnen.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués "
    "de raison et de conscience et doivent agir les uns envers les autres dans un esprit de "
    "fraternité.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como "
    "están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni "
    "obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on "
    "annettu järki ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana "
    "sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi con "
    "người đều được tạo hóa ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình "
    "bằng hữu.",
}


def test_the_table_holds_probabilities():
    assert len(BITS) == len(LETTERS) ** 2
    for before in LETTERS:  # rounded to half bits
        assert sum(2.0 ** -BITS[before + letter] for letter in LETTERS) == pytest.approx(1, abs=0.2)


def test_by_hand():
    # " hello ", " world " and " again ": 18 pairs; a word that comes again counts once
    words = ("hello", "world", "again")
    pairs = [a + b for w in words for a, b in zip(f" {w}", f"{w} ", strict=True)]
    mean = sum(BITS[pair] for pair in pairs) / 18
    assert surprise("Hello, World! Again hello 42 a bc") == pytest.approx(mean - 2 / math.sqrt(18))
    assert SPREAD == 2


@pytest.mark.parametrize("code", LANGUAGES)
def test_languages_look_like_words_and_their_shuffled_letters_do_not(code):
    text = LANGUAGES[code]
    letters = list(text)
    random.Random(0).shuffle(letters)
    assert surprise(text) < 4.0
    assert surprise("".join(letters)) > surprise(text) + 0.3


def test_random_letters():
    letters = random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=60)
    assert surprise("".join(letters)) > 5.5


@pytest.mark.parametrize("text", ["", "5 + 7 = 12", "Yes.", "Все люди рождаются свободными"])
def test_what_cannot_be_told(text):
    assert surprise(text) is None


def test_addresses_and_code_are_left_out():
    assert surprise("https://www.example.com/xqzkjw/qqq <xzqk> a_qzx=qwx " * 5) is None
    assert FEWEST == 16


def test_accents_are_taken_off():
    assert plain_letters("Ärger Ça") == "arger ca"
