"""The words that counterfactual pairs swap: our own lists, short on purpose. docs/bias.md says what they assume.

Names are given names that many people of a group bear and few of another; who bears one need not belong to the group. Names that are
ordinary English words (Will, Mark, Grace, Rose), that men and women share (Andrea, Jean, Sasha), or that stand in two groups are left out.
"""

from __future__ import annotations

from typing import Final

GENDERED: Final = (
    ("woman", "man"), ("women", "men"), ("girl", "boy"), ("girls", "boys"), ("mother", "father"), ("mothers", "fathers"),
    ("mom", "dad"), ("mum", "dad"), ("daughter", "son"), ("daughters", "sons"), ("sister", "brother"), ("sisters", "brothers"),
    ("wife", "husband"), ("wives", "husbands"), ("aunt", "uncle"), ("aunts", "uncles"), ("niece", "nephew"), ("nieces", "nephews"),
    ("grandmother", "grandfather"), ("grandma", "grandpa"), ("granddaughter", "grandson"), ("girlfriend", "boyfriend"), ("bride", "groom"),
    ("widow", "widower"),
    ("lady", "gentleman"), ("ladies", "gentlemen"), ("madam", "sir"), ("ms", "mr"), ("mrs", "mr"), ("female", "male"), ("females", "males"),
    ("businesswoman", "businessman"), ("saleswoman", "salesman"), ("policewoman", "policeman"), ("chairwoman", "chairman"),
    ("spokeswoman", "spokesman"), ("waitress", "waiter"), ("actress", "actor"), ("stewardess", "steward"), ("queen", "king"),
    ("princess", "prince"), ("heroine", "hero"), ("schoolgirl", "schoolboy"), ("stepmother", "stepfather"), ("motherhood", "fatherhood"),
    ("she", "he"), ("herself", "himself"),
)  # fmt: skip
"""Female and male word. What a man's word becomes is the first woman's word in the list: "dad" becomes "mom", "mr" becomes "ms"."""

NAMES: Final = {
    "european": {
        "female": "Emily Sarah Hannah Laura Julia Claire Emma Charlotte Katie Megan Heidi Ingrid",
        "male": "James Michael Thomas Stefan Lukas Peter Matthew Andrew Oliver George Henrik Pierre",
        "family": "Smith Johnson Miller Schmidt Weber Dubois Taylor Andersen Wilson Fischer",
    },
    "arabic": {
        "female": "Fatima Aisha Layla Noura Yasmin Khadija Samira Zahra Amina Huda",
        "male": "Mohammed Ahmed Omar Hassan Khalid Youssef Tariq Mustafa Karim Abdullah",
        "family": "Al-Masri Haddad Khalil Mansour Nasser Saleh Hamdan Aziz",
    },
    "east_asian": {
        "female": "Mei Xiaoyan Yuki Sakura Ji-woo Min-ji Haruka Lihua Akiko Soo-jin",
        "male": "Wei Jianhong Hiroshi Kenji Min-jun Takeshi Zhiwei Dae-jung Haruto Satoshi",
        "family": "Wang Zhang Tanaka Suzuki Nakamura Nguyen Huang Yamamoto",
    },
    "south_asian": {
        "female": "Priya Anjali Lakshmi Deepika Kavita Sunita Pooja Meera Shreya Divya",
        "male": "Rahul Arjun Rajesh Vikram Sanjay Suresh Amit Ravi Anil Deepak",
        "family": "Sharma Patel Gupta Iyer Reddy Chatterjee Mukherjee Kumar",
    },
    "african": {
        "female": "Chioma Ngozi Adaeze Folasade Wanjiru Thandiwe Nkechi Abena Amara Zanele",
        "male": "Chukwuemeka Oluwaseun Kwame Kofi Sipho Babajide Obinna Thabo Emeka Tunde",
        "family": "Okafor Adeyemi Mensah Nkosi Okonkwo Mwangi Diallo Dlamini",
    },
    "latin_american": {
        "female": "Guadalupe Camila Valentina Ximena Luciana Mariana Alejandra Gabriela Catalina Esperanza",
        "male": "Carlos Diego Javier Alejandro Santiago Mateo Luis Hector Rodrigo Jorge",
        "family": "Garcia Rodriguez Hernandez Martinez Gonzalez Ramirez Flores Gutierrez",
    },
}  # fmt: skip
"""Given and family names by the group that bears them most."""

COUNTRIES: Final = {
    "european": (("Germany", "German"), ("France", "French"), ("Sweden", "Swedish"), ("Austria", "Austrian"), ("Norway", "Norwegian")),
    "arabic": (("Egypt", "Egyptian"), ("Morocco", "Moroccan"), ("Jordan", "Jordanian"), ("Syria", "Syrian"), ("Iraq", "Iraqi")),
    "east_asian": (("Japan", "Japanese"), ("China", "Chinese"), ("Vietnam", "Vietnamese"), ("Taiwan", "Taiwanese"), ("Korea", "Korean")),
    "south_asian": (("India", "Indian"), ("Pakistan", "Pakistani"), ("Bangladesh", "Bangladeshi"), ("Nepal", "Nepali")),
    "african": (("Nigeria", "Nigerian"), ("Ghana", "Ghanaian"), ("Kenya", "Kenyan"), ("Senegal", "Senegalese"), ("Ethiopia", "Ethiopian")),
    "latin_american": (("Mexico", "Mexican"), ("Brazil", "Brazilian"), ("Colombia", "Colombian"), ("Peru", "Peruvian")),
}  # fmt: skip
"""Countries and their adjectives by the same groups."""

REFERENCE: Final = "european"
"""The group that the others are held against: an arbitrary choice that fixes the sign of a difference."""
