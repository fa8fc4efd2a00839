"""JSON files that speak of all images of a camera, or of all cameras: COCO's, AlphaPose's and MMPose's.

- COCO results, and AlphaPose's: a list of ``{image_id, keypoints: [x, y, score, …], score}``, an entry per person;
- COCO instances: ``{images, annotations, categories}``, whose scores are visibilities (0, 1 or 2);
- MMPose of a video: ``{meta_info, instance_info: [{frame_id, instances: [{keypoints, keypoint_scores}]}]}``, or the
  list alone; so also other lists of frames that have numbers, and lists of the people of every frame, which have none;
- AlphaPose in the form of OpenPose: ``{image: {bodies: [{joints}]}}``, and PoseFlow's ``{image: [{keypoints}]}``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dispose.errors import InputError
from dispose.formats.detections.classes import COCO, PeopleClass, class_of_people, is_class
from dispose.formats.detections.frames import (
    FRAME_KEYS,
    PEOPLE_LISTS,
    TRIED,
    is_of_people,
    people_of_image,
    says_one_image,
)
from dispose.formats.detections.joint_names import NamedJoints, joints_in_order
from dispose.formats.detections.keypoints import holds_people, people_of_object, person_of_object, scored_alike
from dispose.formats.detections.people import NO_FRAME, MisspeltKey, Odd
from dispose.formats.entry import MOST_WHOLE, Entry, short

KNOWN_FORMS = (
    "OpenPose (a folder per camera), COCO results or instances, MMPose, AlphaPose, YOLO text (a folder per camera), "
    "DeepLabCut or SLEAP csv or h5, NumPy's arrays"
)

CATEGORY = "category_id"


@dataclass(frozen=True)
class ImageListing:
    """The people of a file by image.

    Attributes:
        people: image (a number, or a text) and keypoints of everybody, in the order of the file.
        images: those that the file names beside them: on some of them nobody may be.
        joints: what the file says of its joints, if anything.
        odd: people without an image.
        notes: sentences about what else was made of the file.
    """

    people: tuple[tuple[int | str, object], ...]
    images: tuple[int | str, ...] = ()
    joints: NamedJoints | None = None
    odd: tuple[Odd, ...] = ()
    notes: tuple[str, ...] = ()

    def frames(self) -> dict[int | str, list[object]]:
        """The people of every image, with their joints in the skeleton's order."""
        found: dict[int | str, list[object]] = {image: [] for image in self.images}
        for image, person in self.people:
            found.setdefault(image, []).append(person if self.joints is None else self.joints.in_order(person))
        return found


def listing_of(root: Entry) -> ImageListing:
    """The people of a JSON file of several images; `InputError` where it is of another form, or of one image."""
    if root.has("annotations") and root.has("images"):
        return _coco_instances(root)
    if _of_video(_frames_of(root)):
        return _frames_listed(root)
    if _begins_with(root, "image_id") or root.value == []:
        return _coco_results(root)
    images = list(root.entries()) if isinstance(root.value, dict) else []
    if any(_of_one_image(entry) for _, entry in images[:TRIED]):
        people = [(name, person) for name, entry in images for person in people_of_image(entry)]
        return ImageListing(tuple(people), tuple(name for name, _ in images))
    if says_one_image(root):
        raise InputError(
            f"{root.place}: speaks of one image; of several, a folder per camera with a file per frame is expected."
        )
    images = list(enumerate(root.items())) if isinstance(root.value, list) else []
    if any(is_of_people(entry.value) for _, entry in images):
        people = [(at, one) for at, entry in images for one in people_of_image(entry)]
        note = f"{root.place}: a list of {len(images)} frames without numbers, counted from 0."
        return ImageListing(tuple(people), tuple(range(len(images))), notes=(note,))
    raise InputError(f"{root.place}: {_what(root)}; known are {KNOWN_FORMS}.")


def _of_one_image(entry: Entry) -> bool:
    """Whether the entry of an image's name is one of AlphaPose's."""
    return is_of_people(entry.value) or any(entry.has(key) for key, _ in PEOPLE_LISTS)


def _begins_with(root: Entry, key: str) -> bool:
    """Whether elements of a list have such an entry; some may be odd."""
    return isinstance(root.value, list) and any(isinstance(one, dict) and key in one for one in root.value)


def _frames_of(root: Entry) -> Entry:
    """The list of frames; what else has none is handed on."""
    key = next((key for key in ("instance_info", "frames") if root.has(key)), None)
    return root if key is None else root.at(key)


def _of_video(frames: Entry) -> bool:
    """Whether these are frames that hold people: MMPose's instances, or people by other names beside a number."""
    if frames.place.endswith(": instance_info") and frames.value == []:
        return True
    return isinstance(frames.value, list) and any(
        isinstance(one, dict)
        and ("instances" in one or (bool(set(FRAME_KEYS) & set(one)) and _people_in(Entry("", one)) is not None))
        for one in frames.value
    )


def _what(root: Entry) -> str:
    """What there is instead of detections of people."""
    some = root.value[0] if isinstance(root.value, list) and root.value else root.value
    if not isinstance(some, dict):
        return f"is no file of detections ({short(root.value)})"
    keys = ", ".join(short(str(key)) for key in list(some)[:6])
    return (
        f"holds {'boxes, but no keypoints' if {'bboxes', 'bbox'} & set(some) else 'no detections of people'} ({keys})"
    )


def _image(entry: Entry, key: str) -> int | str | None:
    """What an entry says of its image; None where that is neither a number from 0 on nor a name."""
    image = entry.value.get(key) if isinstance(entry.value, dict) else None
    if isinstance(image, float) and image.is_integer():
        image = int(image)
    if isinstance(image, bool) or not isinstance(image, int | str):
        return None
    return image if isinstance(image, str) or 0 <= image <= MOST_WHOLE else None


def _listing(
    people: Sequence[tuple[int | str | None, object]],
    entries: Sequence[tuple[int | str | None, Entry]],
    images: Sequence[int | str] = (),
    joints: NamedJoints | None = None,
    notes: Sequence[str] = (),
) -> ImageListing:
    """People by image; those whose entry says none are counted, or `InputError` where nobody's does."""
    lost = [f"{entry.place}: {short(entry.value)}" for image, entry in entries if image is None]
    if lost and len(lost) == len(entries):
        raise InputError(f"{lost[0]} does not say which image it is of.")
    odd = (Odd(NO_FRAME, len(lost), lost[0]),) if lost else ()
    known = tuple((image, one) for image, one in people if image is not None)
    return ImageListing(known, tuple(images), joints, odd, tuple(notes))


def _coco_results(root: Entry) -> ImageListing:
    """People by what they say of their image, without those of another category than people's."""
    found = [(_image(entry, "image_id"), entry) for entry in root.items()]
    said = [_category(entry) for _, entry in found]
    whose = class_of_people(root.place, CATEGORY, said, COCO)
    return _listing(_people_of(found, said, whose), found, notes=whose.notes)


def _category(entry: Entry) -> object:
    said = entry.value.get(CATEGORY) if isinstance(entry.value, dict) else None
    return said if is_class(said) else None


def _people_of(
    found: Sequence[tuple[int | str | None, Entry]], said: Sequence[object], whose: PeopleClass
) -> list[tuple[int | str | None, object]]:
    return [
        (at, whose.only_people(one, person_of_object(entry.value, "keypoints")))
        for (at, entry), one in zip(found, said, strict=True)
    ]


def _coco_instances(root: Entry) -> ImageListing:
    """Images by their file's name, people with visibilities as scores, joints by the names of the category."""
    names: dict[int | str, str] = {}
    for entry in root.at("images").items():
        number, name = _image(entry, "id"), _image(entry, "file_name")
        if number is not None:
            names[number] = name if isinstance(name, str) else str(number)
    found = []
    for entry in root.at("annotations").items():
        number = _image(entry, "image_id")
        found.append((None if number is None else names.get(number, str(number)), entry))
    categories = root.at("categories").value if root.has("categories") else None
    listed = [one for one in categories if isinstance(one, dict)] if isinstance(categories, list) else []
    persons = [one for one in listed if str(one.get("name")).lower() == "person"]
    persons = persons or [one for one in listed if isinstance(one.get("keypoints"), list)]
    known = frozenset(one["id"] for one in persons if is_class(one.get("id")))
    said = [_category(entry) for _, entry in found]
    whose = PeopleClass(CATEGORY, known) if known else class_of_people(root.place, CATEGORY, said, COCO)
    people = [(image, _visible(person)) for image, person in _people_of(found, said, whose)]
    joints = next((_joints_named(one["keypoints"]) for one in persons if isinstance(one.get("keypoints"), list)), None)
    return _listing(people, found, tuple(names.values()), joints, (*whose.notes, *_notes(root, joints)))


def _visible(person: object) -> object:
    """A person whose visibilities are scores: 1 and 2 (hidden, visible) are both seen."""
    if not isinstance(person, list):
        return person
    return [1.0 if at % 3 == 2 and value == 2 else value for at, value in enumerate(person)]


def _joints_named(names: Iterable[object]) -> NamedJoints | None:
    return joints_in_order([str(name) for name in names])


def _people_in(entry: Entry) -> list[object] | None:
    """The people of a frame that may be an object of another kind; None where it holds none by a name that is known."""
    if entry.has("instances"):
        listed = entry.at("instances").value
        return [person_of_object(one, "keypoints") for one in scored_alike(listed)] if isinstance(listed, list) else []
    if any(entry.has(key) for key, _ in PEOPLE_LISTS):
        return people_of_image(entry)
    return people_of_object(entry.value, "keypoints") if holds_people(entry.value) else None


def _frames_listed(root: Entry) -> ImageListing:
    """Frames by their number."""
    found, people = [], []
    frames = list(_frames_of(root).items())
    for entry, alike in zip(frames, scored_alike([entry.value for entry in frames]), strict=True):
        number = next((_image(entry, key) for key in FRAME_KEYS if entry.has(key)), None)
        found.append((number, entry))
        there = _people_in(entry) if alike is entry.value else [alike]
        people += [(number, person) for person in (_unknown(entry) if there is None else there)]
    images = [number for number, _ in found if number is not None]
    joints = _joints_of_meta(root)
    return _listing(people, found, images, joints, _notes(root, joints))


def _unknown(entry: Entry) -> list[object]:
    """What a frame holds by no name that is known for people; nothing where it holds nothing."""
    value = entry.value
    if not isinstance(value, dict) or not any(isinstance(one, list | dict) and one for one in value.values()):
        return []
    there = ", ".join(short(str(key)) for key in list(value)[:6])
    return [MisspeltKey(f"no people by a name that is known; there is {there}")]


def _joints_of_meta(root: Entry) -> NamedJoints | None:
    """What MMPose's ``keypoint_id2name`` says."""
    meta = root.at("meta_info") if root.has("meta_info") else root
    names = meta.at("keypoint_id2name").value if meta.has("keypoint_id2name") else None
    return _joints_named(names.values()) if isinstance(names, dict) else None


def _notes(root: Entry, joints: NamedJoints | None) -> tuple[str, ...]:
    """What is said where the names are not those of a skeleton in its order."""
    in_order = joints is None or joints.columns == (*range(len(joints.columns)),)
    return () if joints is None or in_order else joints.notes(root.place, "joints")
